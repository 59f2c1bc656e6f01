"""A reader of a stream that is whole: from every place, before, while and after it is written."""

from datetime import timedelta
from typing import Any

import pytest
import redis

from runs.models import ClockTimestamp, Run
from runs.states import Departure
from runs.streaming import log
from runs.streaming.frames import END, Frame, From, Place
from runs.streaming.watch import Watch
from tests.support.factories import claim, leave
from tests.support.handwritten import (
    cancelled_run,
    end,
    finished_run,
    pending_run,
    put,
    put_end,
    put_range,
    running_run,
    trim,
)
from tests.support.reading import Loop, id_of

pytestmark = pytest.mark.usefixtures("db", "intact")


def test_everything_from_the_start_to_the_end(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0", "1-1", "1-2")
    put_end(run, last=2)
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["1-0", "1-1", "1-2", "end"]
    first = reading.items[0]
    assert isinstance(first, Frame)
    assert (first.event, first.payload) == ("custom", "1-0")


def test_exactly_what_is_after_the_cursor_from_every_place(loop: Loop) -> None:
    run = finished_run()
    everything = ["1-0", "1-1", "1-2", "2-0", "2-1"]
    put(run, *everything)
    put_end(run, 2, last=1)
    for count, cursor in enumerate(everything, start=1):
        assert loop.read(run.pk, cursor).to_the_end() == [*everything[count:], "end"]


@pytest.mark.parametrize("cursor", ["-1", "0", "0-0"])
def test_minus_one_and_zero_are_the_start(loop: Loop, cursor: str) -> None:
    run = finished_run()
    put(run, "1-0", "1-1")
    put_end(run, last=1)
    assert loop.read(run.pk, cursor).to_the_end() == ["1-0", "1-1", "end"]


def test_a_cursor_at_the_end_answers_the_end(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0")
    put_end(run, last=0)
    assert loop.read(run.pk, f"1-{END}").to_the_end() == ["end"]


def test_a_cursor_at_the_end_keeps_the_error(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0")
    error = {"error": "ValueError", "message": "no"}
    put_end(run, last=0, error=error)
    reading = loop.read(run.pk, f"1-{END}")
    reading.to_the_end()
    (item,) = reading.items
    assert isinstance(item, Frame)
    assert item.payload["error"] == error


def test_live_from_the_first_frame_on(loop: Loop) -> None:
    run = running_run()
    reading = loop.read(run.pk)
    put(run, "1-0")
    assert reading.wait_for(1) == ["1-0"]
    put(run, "1-1", "1-2")
    assert reading.wait_for(3) == ["1-0", "1-1", "1-2"]
    end(run, last_frame=2)
    assert reading.to_the_end() == ["1-0", "1-1", "1-2", "end"]


def test_replay_goes_over_into_live(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk, "1-0")
    assert reading.wait_for(1) == ["1-1"]
    put(run, "1-2")
    end(run, last_frame=2)
    assert reading.to_the_end() == ["1-1", "1-2", "end"]


def test_a_long_replay_never_waits(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many times the size of a batch, and nobody writes: nothing would wake the reader."""
    run = finished_run()
    everything = put_range(run, 1, 0, 1234)
    put_end(run, last=1233)

    async def wait(watch: Watch, seconds: float) -> bool:
        raise AssertionError("a reader with everything before it waited")

    monkeypatch.setattr(Watch, "wait", wait)
    assert loop.read(run.pk).to_the_end() == [*everything, "end"]


def test_before_the_run_is_claimed_there_is_nothing_and_no_end(loop: Loop) -> None:
    run = pending_run()
    reading = loop.read(run.pk)
    claim(run)
    put(run, "1-0")
    assert reading.wait_for(1) == ["1-0"]
    reading.stop()


def test_a_run_that_was_never_claimed_has_only_an_end(loop: Loop) -> None:
    run = pending_run()
    put_end(run, 0)
    assert loop.read(run.pk).to_the_end() == ["end"]


def test_a_recovered_run_goes_on_with_its_next_attempt(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk)
    reading.wait_for(2)
    leave(run, Departure.CRASH)
    again = claim(run)
    put(run, "2-0", "2-1")
    assert reading.wait_for(4) == ["1-0", "1-1", "2-0", "2-1"]
    end(again, last_frame=1)
    assert reading.to_the_end()[-1] == "end"
    assert loop.read(run.pk, "1-1").to_the_end() == ["2-0", "2-1", "end"]


def test_a_malformed_cursor_follows_the_live_tail(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk, "nonsense")
    loop.hold(reading)
    put(run, "1-2")
    assert reading.wait_for(1) == ["1-2"]
    end(run, last_frame=2)
    assert reading.to_the_end() == ["1-2", "end"]


def test_a_malformed_cursor_before_anything_is_written_gets_everything(loop: Loop) -> None:
    run = running_run()
    reading = loop.read(run.pk, "nonsense")
    loop.hold(reading)
    put(run, "1-0")
    end(run, last_frame=0)
    assert reading.to_the_end() == ["1-0", "end"]


@pytest.mark.parametrize("last", [None, 1])
def test_a_malformed_cursor_on_a_stream_that_has_ended_gets_the_end(loop: Loop, last: int | None) -> None:
    run = finished_run()
    put(run, "1-0", "1-1")
    put_end(run, last=last)
    assert loop.read(run.pk, From.TAIL).to_the_end() == ["end"]


def test_a_cancelled_run_may_stop_before_its_executors_last_number(loop: Loop) -> None:
    run = cancelled_run()
    put(run, "1-0", "1-1")
    put_end(run)
    assert loop.read(run.pk).to_the_end() == ["1-0", "1-1", "end"]
    assert loop.read(run.pk, "1-1").to_the_end() == ["end"]


def test_a_run_that_was_cancelled_before_it_wrote_anything(loop: Loop) -> None:
    run = cancelled_run()
    put_end(run)
    reading = loop.read(run.pk)
    assert reading.to_the_end()[-1] == "end"
    assert "gap" not in reading.places


def test_a_cursor_ahead_of_what_redis_still_has_goes_on_with_the_next_frame(loop: Loop) -> None:
    """Redis came back without its last second; the executor goes on counting, and its client has missed nothing."""
    run = running_run()
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk, "1-5")
    loop.hold(reading)
    put(run, "1-6")
    end(run, last_frame=6)
    assert reading.to_the_end() == ["1-6", "end"]


def test_a_live_reader_goes_on_after_everything_was_lost(loop: Loop) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    reading = loop.read(run.pk)
    reading.wait_for(2)
    trim(run, 0)
    put(run, "1-2")
    end(run, last_frame=2)
    assert reading.to_the_end() == ["1-0", "1-1", "1-2", "end"]


def test_every_reader_gets_everything_however_many_there_are(loop: Loop) -> None:
    """More readers than connections for reading; all are woken by the same frame."""
    run = running_run()
    put(run, "1-0")
    readings = [loop.read(run.pk) for _ in range(150)]
    for reading in readings:
        reading.wait_for(1)
    put(run, "1-1")
    end(run, last_frame=1)
    assert [reading.to_the_end() for reading in readings] == [["1-0", "1-1", "end"]] * 150


def test_two_runs_do_not_mix(loop: Loop) -> None:
    one, other = running_run(), running_run()
    readings = loop.read(one.pk), loop.read(other.pk)
    put(one, "1-0")
    put(other, "1-0", "1-1")
    end(one, last_frame=0)
    end(other, last_frame=1)
    assert readings[0].to_the_end() == ["1-0", "end"]
    assert readings[1].to_the_end() == ["1-0", "1-1", "end"]


def test_every_item_has_an_id_that_is_its_place(loop: Loop) -> None:
    run = finished_run()
    put(run, "1-0", "1-1")
    put_end(run, last=1)
    reading = loop.read(run.pk)
    reading.to_the_end()
    assert [id_of(item) for item in reading.items] == ["1-0", "1-1", str(Place(1, END))]


@pytest.mark.parametrize("cursor", ["0", "1-0"])
def test_a_redis_that_fails_for_a_moment_is_asked_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, cursor: str
) -> None:
    """A lost connection or a busy moment is no reason to answer from the rows, which keep less."""
    run = finished_run(answer=42)
    Run.objects.filter(pk=run.pk).update(finished_at=ClockTimestamp() - timedelta(hours=1))
    put(run, "1-0", "1-1")
    put_end(run, last=1)
    failures = iter([redis.ConnectionError, redis.TimeoutError])
    really = log.read_after

    async def unsure(*args: Any) -> list[Frame]:
        if error := next(failures, None):
            raise error
        return await really(*args)

    monkeypatch.setattr(log, "read_after", unsure)
    expected = {"0": ["1-0", "1-1", "end"], "1-0": ["1-1", "end"]}
    assert loop.read(run.pk, cursor).to_the_end() == expected[cursor]
    assert next(failures, None) is None


def test_a_stream_that_has_expired_is_answered_without_waiting(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished_run(last_frame=4, answer=42)
    Run.objects.filter(pk=run.pk).update(finished_at=ClockTimestamp() - timedelta(hours=1))

    async def wait(watch: Watch, seconds: float) -> bool:
        raise AssertionError("a reader of a run that is long over waited")

    monkeypatch.setattr(Watch, "wait", wait)
    reading = loop.read(run.pk)
    assert reading.to_the_end() == ["1-0", f"1-{END - 1}", "end"]
    assert [item.event for item in reading.items if isinstance(item, Frame)] == ["metadata", "values", "end"]
