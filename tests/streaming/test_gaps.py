"""Whatever is lost, and wherever: one explicit gap, after which the client goes on with exactly what there is."""

import pytest

from runs.models import Run
from runs.services.retention import remove_deleted_runs
from runs.services.threads import delete_run
from runs.states import Departure
from runs.streaming import reader
from runs.streaming.frames import END, Frame, Gap, Place
from tests.support.factories import cancel, claim, leave, make_actor, stored
from tests.support.handwritten import (
    cancelled_run,
    end,
    finished_run,
    lose,
    pending_run,
    put,
    put_end,
    put_range,
    running_run,
    trim,
    wipe,
)
from tests.support.reading import Loop, Reading, id_of, place

pytestmark = pytest.mark.usefixtures("db", "intact")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing end is missed at once."""
    monkeypatch.setattr(reader, "MISSING_END_SECONDS", 0.0)


def bounds(gap: Gap) -> list[str]:
    """What the gap says: requested, earliest, latest."""
    return [str(each) for each in (gap.requested, gap.earliest, gap.latest)]


def go_on(loop: Loop, run: Run, reading: Reading) -> list[str]:
    """What a client gets that goes on after the last id it was sent."""
    return loop.read(run.pk, id_of(reading.items[-1])).to_the_end()


def test_a_cursor_that_was_trimmed(loop: Loop) -> None:
    run = finished_run()
    put_range(run, 1, 0, 10)
    trim(run, 3)
    reading = loop.read(run.pk, "1-2")
    assert reading.to_the_end() == ["gap"]
    assert bounds(reading.gap) == ["1-2", "1-7", "1-9"]
    put_end(run, last=9)
    assert go_on(loop, run, reading) == ["1-7", "1-8", "1-9", "end"]


def test_the_last_frame_before_what_was_trimmed_is_no_gap(loop: Loop) -> None:
    run = finished_run()
    put_range(run, 1, 0, 10)
    put_end(run, last=9)
    trim(run, 4)
    assert loop.read(run.pk, "1-6").to_the_end() == ["1-7", "1-8", "1-9", "end"]


def test_a_start_that_was_trimmed(loop: Loop) -> None:
    run = running_run()
    put_range(run, 1, 0, 10)
    trim(run, 2)
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["gap"]
    assert bounds(reading.gap) == ["None", "1-8", "1-9"]
    end(run, last_frame=9)
    assert go_on(loop, run, reading) == ["1-8", "1-9", "end"]


def test_a_hole_in_the_middle_of_a_replay(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0", "1-1", "1-4", "1-5")
    put_end(run, last=5)
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["1-0", "1-1", "gap"]
    assert bounds(reading.gap) == ["1-1", "1-0", f"1-{END}"]
    assert go_on(loop, run, reading) == ["1-4", "1-5", "end"]


def test_a_hole_right_after_the_cursor(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0", "1-1", "1-4")
    put_end(run, last=4)
    reading = loop.read(run.pk, "1-1")
    assert reading.to_the_end() == ["gap"]
    assert go_on(loop, run, reading) == ["1-4", "end"]


def test_a_hole_in_a_live_stream(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    reading.wait_for(1)
    put(run, "1-2")
    assert reading.to_the_end() == ["1-0", "gap"]
    put(run, "1-3")
    end(run, last_frame=3)
    assert go_on(loop, run, reading) == ["1-2", "1-3", "end"]


async def outrun(run: Run) -> None:
    """In the reader's own loop, which stands still meanwhile: it cannot read everything before most of it is gone.

    So much at once does not come with its wake.
    """
    put_range(run, 1, 1, 8000)
    trim(run, 5)


def test_a_live_reader_that_was_outrun(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    reading.wait_for(1)
    loop.run(outrun(run))
    assert reading.to_the_end()[-1] == "gap"
    end(run, last_frame=7999)
    assert go_on(loop, run, reading)[-3:] == ["1-7998", "1-7999", "end"]


def test_a_frame_that_was_lost_at_the_tail(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0", "1-1")
    put_end(run, last=3)
    for reading in (loop.read(run.pk), loop.read(run.pk, "1-1"), loop.read(run.pk, "1-3")):
        assert reading.to_the_end()[-1] in ("gap", "end")
    whole, cut, complete = loop.read(run.pk), loop.read(run.pk, "1-1"), loop.read(run.pk, "1-3")
    assert whole.to_the_end() == ["1-0", "1-1", "gap"]
    assert cut.to_the_end() == ["gap"]
    assert complete.to_the_end() == ["end"]
    assert go_on(loop, run, whole) == go_on(loop, run, cut) == ["end"]


def test_a_frame_that_was_lost_at_the_tail_together_with_the_end(loop: Loop) -> None:
    """Redis was away while the run finished: the row knows how many there were."""
    run = finished_run(last_frame=3)
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["1-0", "1-1", "gap"]
    assert go_on(loop, run, reading) == ["end"]


def test_a_malformed_cursor_does_not_hide_a_lost_tail(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk, "nonsense")
    loop.hold(reading)
    put(run, "1-1")
    reading.wait_for(1)
    end(run, last_frame=3)
    assert reading.to_the_end() == ["1-1", "gap"]


def test_everything_lost_in_the_middle_of_a_run(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    wipe(run)
    put(run, "1-3")
    reading = loop.read(run.pk, "1-1")
    assert reading.to_the_end() == ["gap"]
    assert bounds(reading.gap) == ["1-1", "1-3", "1-3"]
    end(run, last_frame=3)
    assert go_on(loop, run, reading) == ["1-3", "end"]


@pytest.mark.parametrize("by", ["executor", "canceller"])
def test_everything_lost_before_the_end(loop: Loop, by: str) -> None:
    """Only the end is there. A canceller's does not say what was before it, so nothing shows that it follows."""
    run = running_run()
    put_range(run, 1, 0, 5)
    wipe(run)
    end(run, last_frame=4) if by == "executor" else cancel(run)
    reading = loop.read(run.pk, "1-2")
    assert reading.to_the_end() == ["gap"]
    assert bounds(reading.gap) == ["1-2", f"1-{END}", f"1-{END}"]
    assert go_on(loop, run, reading) == ["end"]
    leave(run)


def test_everything_lost_while_a_reader_was_at_it(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    reading.wait_for(1)
    put(run, "1-1")
    reading.wait_for(2)
    wipe(run)
    cancel(run)
    leave(run)
    assert reading.to_the_end() == ["1-0", "1-1", "gap"]
    assert go_on(loop, run, reading) == ["end"]


def test_everything_lost_after_the_end(loop: Loop) -> None:
    """From the start one gets what is kept; in the middle something is missing, unless only the end was."""
    run = finished_run(last_frame=4, answer=42)
    whole, cut, complete = loop.read(run.pk), loop.read(run.pk, "1-2"), loop.read(run.pk, "1-4")
    assert whole.to_the_end() == ["1-0", f"1-{END - 1}", "end"]
    assert [item.event for item in whole.items if isinstance(item, Frame)] == ["metadata", "values", "end"]
    assert cut.to_the_end() == ["gap"]
    assert go_on(loop, run, cut) == [f"1-{END - 1}", "end"]
    assert complete.to_the_end() == ["end"]


def test_what_is_kept_can_be_read_on_from_every_place_in_it(loop: Loop) -> None:
    run = finished_run(answer=42)
    whole = loop.read(run.pk)
    whole.to_the_end()
    assert loop.read(run.pk, id_of(whole.items[1])).to_the_end() == ["end"]
    assert loop.read(run.pk, id_of(whole.items[2])).to_the_end() == ["end"]
    cut = loop.read(run.pk, id_of(whole.items[0]))
    assert cut.to_the_end() == ["gap"]
    assert go_on(loop, run, cut) == [f"1-{END - 1}", "end"]


def test_only_modes_that_were_asked_for_are_answered_from_what_is_kept(loop: Loop) -> None:
    run = running_run()
    Run.objects.filter(pk=run.pk).update(kwargs={"stream_mode": ["custom"]})
    end(run, last_frame=0, answer=42)
    wipe(run)
    assert loop.read(run.pk).to_the_end() == ["1-0", "end"]


@pytest.mark.parametrize("cursor", ["0", "1-2", "nonsense"])
def test_a_run_that_has_gone_ends_at_once_and_says_so(loop: Loop, cursor: str) -> None:
    run = finished_run()
    delete_run(thread_id=run.thread_id, run_id=run.pk, actor=make_actor("ada"))
    remove_deleted_runs()
    reading = loop.read(run.pk, cursor)
    assert reading.to_the_end() == ["end"]
    (item,) = reading.items
    assert isinstance(item, Frame)
    assert item.payload["error"]["error"] == "RunNotFound"


def test_an_attempt_of_which_nothing_was_written(loop: Loop) -> None:
    """It may have emitted something; nobody can tell."""
    run = finished_run()
    put(run, "1-0", "1-1", "3-0")
    put_end(run, 3, last=0)
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["1-0", "1-1", "gap"]
    assert go_on(loop, run, reading) == ["3-0", "end"]


def test_a_first_attempt_of_which_nothing_was_written(loop: Loop) -> None:
    run = running_run()
    leave(run, Departure.CRASH)
    again = claim(run)
    put(run, "2-0", "2-1")
    end(again, last_frame=1)
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["gap"]
    assert go_on(loop, run, reading) == ["2-0", "2-1", "end"]


def test_a_beginning_of_an_attempt_that_was_lost(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0", "1-1", "2-0", "2-1", "2-2")
    lose(run, "2-0")
    put_end(run, 2, last=2)
    reading = loop.read(run.pk, "1-0")
    assert reading.to_the_end() == ["1-1", "gap"]
    assert go_on(loop, run, reading) == ["2-1", "2-2", "end"]


def test_a_whole_attempt_that_was_lost_before_the_end(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0")
    put_end(run, 2, last=7)
    reading = loop.read(run.pk, "1-0")
    assert reading.to_the_end() == ["gap"]
    assert go_on(loop, run, reading) == ["end"]


@pytest.mark.parametrize("cursor", ["1-9", "2-0", "7-1"])
def test_a_cursor_beyond_the_end(loop: Loop, cursor: str) -> None:
    """Of another run, perhaps; what there is follows."""
    run = finished_run()
    put(run, "1-0", "1-1")
    put_end(run, last=1)
    reading = loop.read(run.pk, cursor)
    assert reading.to_the_end() == ["gap"]
    assert bounds(reading.gap) == [cursor, "1-0", f"1-{END}"]


@pytest.mark.parametrize("cursor", ["2-0", "7-1", f"3-{END}"])
def test_a_cursor_in_an_attempt_that_has_not_been(loop: Loop, cursor: str) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk, cursor)
    assert reading.to_the_end() == ["gap"]
    end(run, last_frame=1)
    assert go_on(loop, run, reading) == ["1-0", "1-1", "end"]


def test_a_cursor_before_every_attempt(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0")
    put_end(run, last=0)
    assert loop.read(run.pk, "0-5").to_the_end() == ["1-0", "end"]


def test_a_gap_goes_on_by_itself_when_what_was_lost_comes_after_all(loop: Loop) -> None:
    """The key is gone, the run goes on: whoever has seen everything so far misses nothing."""
    run = running_run()
    put(run, "1-0", "1-1")
    wipe(run)
    reading = loop.read(run.pk, "1-1")
    loop.hold(reading)
    put(run, "1-2")
    end(run, last_frame=2)
    assert reading.to_the_end() == ["1-2", "end"]


def test_no_key_and_a_pending_row_wait(loop: Loop) -> None:
    run = pending_run()
    reading = loop.read(run.pk, "1-3")
    loop.hold(reading)
    cancel(run)
    assert reading.to_the_end() == ["gap"]
    assert stored(run).status == "interrupted"


def test_a_cancel_that_hid_frames_is_no_gap(loop: Loop) -> None:
    """What the executor had not yet written is not shown: that is what a cancel promises."""
    run = cancelled_run()
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["1-0", "1-1", "end"]
    assert loop.read(run.pk, "1-1").to_the_end() == ["end"]


def test_bounds_are_those_of_the_stream_and_not_of_a_batch(loop: Loop) -> None:
    run = finished_run()
    put_range(run, 1, 0, 300)
    put_range(run, 1, 301, 700)
    put_end(run, last=699)
    reading = loop.read(run.pk)
    reading.to_the_end()
    assert bounds(reading.gap) == ["1-299", "1-0", f"1-{END}"]
    assert reading.gap.resume == place("1-300") == Place(1, 300)
