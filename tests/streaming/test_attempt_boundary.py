"""What is lost at the end of an attempt is a gap, also when the next attempt is whole."""

import pytest

from tests.support.handwritten import finished_run, put, put_end, put_range, trim, wipe
from tests.support.reading import Loop

pytestmark = pytest.mark.usefixtures("db", "intact")


def test_the_rest_of_an_attempt_that_was_trimmed(loop: Loop) -> None:
    """A reader at 1-2 has not seen 1-3 to 1-5, which are gone; nothing may look as if 2-0 followed."""
    run = finished_run()
    put_range(run, 1, 0, 6)
    put_range(run, 2, 0, 3)
    put_end(run, 2, last=2)
    trim(run, 4)
    assert loop.read(run.pk, "1-2").to_the_end() == ["gap"]


def test_the_rest_of_an_attempt_that_redis_has_lost(loop: Loop) -> None:
    run = finished_run()
    put_range(run, 1, 0, 6)
    wipe(run)
    put(run, "2-0", "2-1")
    put_end(run, 2, last=1)
    assert loop.read(run.pk, "1-2").to_the_end() == ["gap"]


def test_control_the_last_of_an_attempt_is_followed_by_the_next(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0", "1-1", "2-0")
    put_end(run, 2, last=0)
    assert loop.read(run.pk, "1-1").to_the_end() == ["2-0", "end"]
