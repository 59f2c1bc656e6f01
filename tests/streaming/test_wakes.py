"""By what readers are woken, and what becomes of a wake that is lost."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis

from runs.streaming import hub as hubs
from runs.streaming import log, rows
from runs.streaming import reader as reader_module
from runs.streaming.hub import Hub
from runs.streaming.rows import RunRow
from runs.streaming.watch import Watch
from tests.support.factories import claim, make_run, make_thread
from tests.support.handwritten import end, put, running_run
from tests.support.ledger import wait_until
from tests.support.reading import Loop
from tests.support.watching import Watcher, numsub

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def loop(db: None) -> Iterator[Loop]:
    """A loop for each test: every hub is new."""
    with Loop() as loop:
        yield loop


def test_a_reader_waits_for_a_wake_and_not_for_the_next_look(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
    run = running_run()
    reading = loop.read(run.pk)
    loop.hold(reading)
    put(run, "1-0")
    assert reading.wait_for(1) == ["1-0"]
    end(run, last_frame=0)
    assert reading.to_the_end() == ["1-0", "end"]


def test_a_reader_heeds_a_cancellation_that_was_swallowed(loop: Loop) -> None:
    """As `asyncio.wait_for` does before Python 3.12, and redis-py with it: the client has gone all the same."""

    async def swallow_and_wait() -> None:
        async with loop.hub.watch(uuid4()) as watch:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            await watch.wait(3600)

    with pytest.raises(CancelledError):
        loop.start(swallow_and_wait()).result(30)


def test_a_thread_is_watched_by_a_wake_and_not_by_the_next_look(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
    thread = make_thread()
    reading = loop.read_thread(thread.pk)
    wait_until(lambda: numsub(log.thread_channel(thread.pk)) == 1, "the reader to wait")
    run = claim(make_run(thread))
    put(run, "1-0")
    reading.wait_for((run.pk, "1-0"))
    assert len(reading.items) == 1
    reading.stop()
    end(run)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """No commit tells anybody anything."""
    monkeypatch.setattr(log, "wake", lambda *_: None)
    monkeypatch.setattr(log, "append_end", lambda *_, **__: None)


def test_an_end_that_nobody_told_is_seen_at_the_next_look(loop: Loop, deaf: None) -> None:
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk, "1-0")
    loop.hold(reading)
    end(run, last_frame=0)
    assert reading.to_the_end() == ["end"]


def test_a_beginning_that_nobody_told_is_seen_at_the_next_look(loop: Loop, deaf: None) -> None:
    thread = make_thread()
    reading = loop.read_thread(thread.pk)
    wait_until(lambda: numsub(log.thread_channel(thread.pk)) == 1, "the reader to wait")
    run = claim(make_run(thread))
    put(run, "1-0")
    reading.wait_for((run.pk, "1-0"))
    assert len(reading.items) == 1
    reading.stop()
    end(run)


def test_the_rows_of_all_watches_are_read_in_one_statement(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def read(run_ids: Collection[UUID]) -> dict[UUID, RunRow]:
        asked.append(len(run_ids))
        return {}

    monkeypatch.setattr(rows, "read", read)
    monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 0.05)
    runs = [uuid4() for _ in range(20)]
    for run_id in runs:
        Watcher(loop, run_id).ready()
    wait_until(lambda: 20 in asked, "all rows to be read together")
    assert max(asked) == 20


def test_a_server_that_shuts_down_ends_its_streams(loop: Loop) -> None:
    run, thread = running_run(), make_thread()
    put(run, "1-0")
    reading, of_thread = loop.read(run.pk), loop.read_thread(thread.pk)
    reading.wait_for(1)
    wait_until(lambda: numsub(log.thread_channel(thread.pk)) == 1, "the reader to wait")
    loop.run(_shut_down(loop.hub))
    assert reading.to_the_end() == ["1-0"]
    of_thread.task.result(5)
    end(run)


async def _shut_down(hub: Hub) -> None:
    hub._shut_down()


#: What was heard -> whether there may be something to read, and whether the run may have ended.
HEARD = {
    log.FRAMES: (True, False),
    "pending": (False, False),
    "running": (False, False),
    "success": (False, True),
    "interrupted": (False, True),
    log.END_OF_STREAM: (True, True),
    "": (True, True),
    "a word of another version": (True, True),
}


@pytest.mark.parametrize("heard", HEARD)
def test_who_reads_and_who_waits_is_woken_for_a_reason(loop: Loop, heard: str) -> None:
    watch = loop.run(_watch_woken_by(heard))
    assert (loop.run(watch.wait(0)), loop.run(watch.wait_for_end(0))) == HEARD[heard]


async def _watch_woken_by(heard: str) -> Watch:
    watch = Watch("a channel")
    watch.wake(heard)
    return watch


class Unheard:
    """Wakes and looks are lost: only the question about all streams is left. Counts what Redis is asked."""

    def __init__(self, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.questions: list[int] = []
        monkeypatch.setattr(hubs, "LOOK_EVERY_SECONDS", 3600.0)
        monkeypatch.setattr(hubs, "CATCH_UP_SECONDS", 0.2)
        monkeypatch.setattr(loop.hub, "_heed", self._subscriptions_only(loop.hub._heed))
        self.answer: Callable[..., Coroutine[Any, Any, list[bool]]] = log.go_on
        monkeypatch.setattr(log, "go_on", self._count)

    def _subscriptions_only(self, heed: Any) -> Any:
        return lambda kind, *heard: heed(kind, *heard) if kind == "subscribe" else None

    async def _count(self, client: Any, places: Collection[Any]) -> list[bool]:
        self.questions.append(len(places))
        return await self.answer(client, list(places))


def test_readers_that_missed_every_wake_are_found_by_one_question(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches; and whoever is not behind is left alone."""
    monkeypatch.setattr(hubs, "CATCH_UP_BATCH", 4)
    unheard = Unheard(loop, monkeypatch)
    runs = [running_run() for _ in range(6)]
    for run in runs:
        put(run, "1-0")
    readings = [loop.read(run.pk) for run in runs]
    assert [reading.wait_for(1) for reading in readings] == [["1-0"]] * 6
    wait_until(lambda: unheard.questions[-2:] == [4, 2], "all of them to be asked for")
    put(runs[5], "1-1")
    assert readings[5].wait_for(2) == ["1-0", "1-1"]
    end(runs[0], last_frame=0)
    assert readings[0].to_the_end() == ["1-0", "end"]
    assert [len(reading.items) for reading in readings[1:5]] == [1] * 4
    for reading in readings[1:]:
        reading.stop()


def test_readers_ask_for_themselves_if_that_question_is_not_answered(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    unheard = Unheard(loop, monkeypatch)

    async def fail(*_: object) -> list[bool]:
        raise redis.ConnectionError("Redis is away")

    unheard.answer = fail
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    assert reading.wait_for(1) == ["1-0"]
    wait_until(lambda: unheard.questions, "a question in vain")
    put(run, "1-1")
    assert reading.wait_for(2) == ["1-0", "1-1"]
    reading.stop()


def test_without_that_question_a_missed_wake_would_be_missed_for_good(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: several heartbeats later the reader still waits."""
    monkeypatch.setattr(reader_module, "HEARTBEAT_SECONDS", 0.1)
    unheard = Unheard(loop, monkeypatch)

    async def nobody(_: Any, places: Collection[Any]) -> list[bool]:
        return [False] * len(places)

    unheard.answer = nobody
    run = running_run()
    put(run, "1-0")
    reading = loop.read(run.pk)
    assert reading.wait_for(1) == ["1-0"]
    wait_until(lambda: unheard.questions, "a question")
    put(run, "1-1")
    beats = reading.heartbeats
    wait_until(lambda: reading.heartbeats > beats + 3, "more heartbeats")
    assert reading.places == ["1-0"]
    reading.stop()
