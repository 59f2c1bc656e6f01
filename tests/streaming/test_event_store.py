"""What a client of any event store takes for granted: silence is alive, errors pass, nobody is told an end too soon."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from runs.models import Run
from runs.services.recover import recover_stalled_runs
from runs.streaming import log, reader
from runs.streaming.connection import writer
from runs.streaming.frames import END, Frame, Place
from runs.streaming.reader import Heartbeat
from runs.streaming.sse import encode
from tests.support.factories import bury, claim, make_thread, make_worker, running, stored
from tests.support.handwritten import end, finished_run, pending_run, put, retained, running_run
from tests.support.ledger import wait_until
from tests.support.reading import Loop, id_of

pytestmark = pytest.mark.usefixtures("db", "intact")


class Outage:
    """Redis does not answer readers; `times` limits it to the first so many questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, loop: Loop, times: float = float("inf")) -> None:
        self.asked = 0
        self.times = times
        for name in ("xrange", "xrevrange"):
            monkeypatch.setattr(loop.hub.client, name, self._failing(getattr(loop.hub.client, name)))

    def _failing(self, command: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(*arguments: Any, **options: Any) -> Any:
            self.asked += 1
            if self.asked <= self.times:
                raise redis.ConnectionError("Redis is away")
            return await command(*arguments, **options)

        return ask


def test_silence_is_a_heartbeat_in_every_state_of_a_run(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "HEARTBEAT_SECONDS", 0.02)
    waiting, executing = pending_run(), running_run()
    readings = [loop.read(waiting.pk), loop.read(executing.pk)]
    wait_until(lambda: min(reading.heartbeats for reading in readings) >= 3, "three heartbeats of both")
    assert [reading.items for reading in readings] == [[], []]
    put(executing, "1-0")
    assert readings[1].wait_for(1) == ["1-0"]
    for reading in readings:
        reading.stop()


def test_a_heartbeat_is_a_comment_that_no_client_takes_for_an_event() -> None:
    assert encode(Heartbeat()) == b": heartbeat\r\n\r\n"


def test_a_frame_of_a_part_keeps_its_name_and_goes_with_its_mode() -> None:
    """So a part of a graph is not taken for the whole."""
    frame = Frame(Place(1, 1), "values|part:1", "{}")
    shown = b"event: values|part:1\r\ndata: {}\r\nid: 1-1\r\n\r\n"
    assert [encode(frame), encode(frame, ["values"]), encode(frame, ["updates"])] == [shown, shown, b""]


def test_a_reader_before_the_first_frame_meets_no_end(loop: Loop) -> None:
    run = pending_run()
    reading = loop.read(run.pk)
    loop.hold(reading)
    claimed = claim(run)
    put(run, "1-0")
    assert reading.wait_for(1) == ["1-0"]
    end(claimed, last_frame=0)
    assert reading.to_the_end() == ["1-0", "end"]


@pytest.mark.parametrize("readers", [1, 3])
def test_readers_of_an_empty_stream_that_are_outrun_at_once_are_told_so(loop: Loop, readers: int) -> None:
    """The first they see is already not the first there was."""
    run = running_run()
    readings = [loop.read(run.pk) for _ in range(readers)]
    for reading in readings:
        loop.hold(reading)
    write_and_trim(run, count=10, keep=3)
    for reading in readings:
        assert reading.to_the_end() == ["gap"]
        gap = reading.gap
        assert (gap.requested, gap.earliest, gap.latest) == (None, Place(1, 7), Place(1, 9))
    end(run, last_frame=9)
    assert loop.read(run.pk, id_of(readings[0].items[0])).to_the_end() == ["1-7", "1-8", "1-9", "end"]


def write_and_trim(run: Run, *, count: int, keep: int) -> None:
    """Frames of which only the last are ever to be seen, in one step."""
    pipeline: Any = writer().pipeline(transaction=True)
    for number in range(count):
        pipeline.xadd(log.key(run.pk), {"e": "custom", "d": "null"}, id=f"1-{number}")
    pipeline.xtrim(log.key(run.pk), maxlen=keep, approximate=False)
    pipeline.publish(log.channel(run.pk), "")
    pipeline.execute()


def test_a_redis_that_is_away_for_a_moment_costs_a_reader_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = running_run()
    put(run, "1-0", "1-1")
    outage = Outage(monkeypatch, loop, times=5)
    reading = loop.read(run.pk)
    assert reading.wait_for(2) == ["1-0", "1-1"]
    assert outage.asked > 5
    outage.asked = 0
    put(run, "1-2")
    end(run, last_frame=2)
    assert reading.to_the_end() == ["1-0", "1-1", "1-2", "end"]


def test_a_redis_that_stays_away_ends_no_stream_of_a_run_in_flight(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is not an end. The client has its heartbeats, and everything once Redis is back."""
    monkeypatch.setattr(reader, "HEARTBEAT_SECONDS", 0.02)
    run = running_run()
    put(run, "1-0")
    outage = Outage(monkeypatch, loop)
    reading = loop.read(run.pk)
    wait_until(lambda: outage.asked >= 3 and reading.heartbeats >= 3, "three questions in vain, three heartbeats")
    assert (reading.items, reading.task.done()) == ([], False)
    outage.times = 0
    end(run, last_frame=0)
    assert reading.to_the_end() == ["1-0", "end"]


def test_a_redis_that_stays_away_does_not_keep_a_finished_run_open(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PostgreSQL keeps is told instead."""
    monkeypatch.setattr(reader, "MISSING_END_SECONDS", 0.0)
    run = finished_run(last_frame=4, answer=42)
    Outage(monkeypatch, loop)
    assert loop.read(run.pk).to_the_end() == ["1-0", f"1-{END - 1}", "end"]


@contextmanager
def unwritable() -> Iterator[None]:
    """No end and no wake reaches Redis."""

    def fail(*_: object, **__: object) -> None:
        raise redis.ConnectionError("Redis is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "append_end", fail)
        patch.setattr(log, "wake", fail)
        yield


def test_wakes_that_never_come_hide_no_end(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the run could not be written and nobody was woken: its reader finds the row, and writes the end."""
    monkeypatch.setattr(reader, "MISSING_END_SECONDS", 0.0)
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    assert reading.wait_for(1) == ["1-0"]
    loop.hold(reading)
    with unwritable():
        end(run, last_frame=0)
        assert retained(run) == ["1-0"]
    assert reading.to_the_end() == ["1-0", "end"]
    assert retained(run) == ["1-0", "end"]


def test_the_row_is_terminal_before_anybody_sees_an_end(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MISSING_END_SECONDS", 3600.0)  # its reader is not to write it
    run = running_run()
    put(run, "1-0")
    append_end, seen = log.append_end, []

    def look(run_id: Any, *arguments: Any, **options: Any) -> None:
        seen.append(stored(run).status)
        append_end(run_id, *arguments, **options)

    monkeypatch.setattr(log, "append_end", look)
    reading = loop.read(run.pk)
    end(run, last_frame=0)
    assert reading.to_the_end() == ["1-0", "end"]
    assert seen == ["success"]


def test_nothing_is_taken_after_the_end_and_nothing_before_it_is_lost(loop: Loop) -> None:
    """The end stands at the highest place there is: no frame that was written before can come after it."""
    run = running_run()
    put(run, "1-0", "1-1")
    end(run, last_frame=1)
    assert not log.append(run.pk, 1, [(2, "custom", "null")])
    assert loop.read(run.pk).to_the_end() == ["1-0", "1-1", "end"]


def test_a_run_that_is_lost_for_good_ends_its_streams_with_the_reason(loop: Loop) -> None:
    worker = make_worker()
    run = running(make_thread(), worker, max_attempts=1)
    put(run, "1-0")
    reading = loop.read(run.pk)
    assert reading.wait_for(1) == ["1-0"]
    bury(worker)
    assert recover_stalled_runs() == 1
    assert reading.to_the_end() == ["1-0", "end"]
    ended = reading.items[-1]
    assert isinstance(ended, Frame)
    assert ended.payload["error"]["error"] == "attempts_exhausted"
