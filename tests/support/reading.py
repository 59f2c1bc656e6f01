"""Readers of streams at work, in a loop of a thread of their own: the test does meanwhile what it wants."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar
from uuid import UUID

from runs.streaming.frames import Cursor, Frame, From, Gap, Place, parse_cursor
from runs.streaming.hub import Hub
from runs.streaming.reader import Heartbeat, Item, RunReader
from runs.streaming.sse import encode
from runs.streaming.thread_reader import ThreadReader, find_start
from runs.streaming.watch import Watch
from tests.support.ledger import PATIENCE_SECONDS, wait_until

T = TypeVar("T")


class HeldReader(RunReader):
    """Tells when it has read what there is."""

    waits = False

    async def _pause(self, watch: Watch) -> bool:
        self.waits = True
        return await super()._pause(watch)


class Reading:
    """One reader, and what it has given so far; heartbeats apart."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.heartbeats = 0
        self.task: Future[None]
        self.reader: HeldReader

    async def collect(self) -> None:
        """Read until the reader ends."""
        async for item in self.reader.read():
            if isinstance(item, Heartbeat):
                self.heartbeats += 1
            else:
                self.items.append(item)

    @property
    def places(self) -> list[str]:
        """The places of the frames so far, "end" for an end marker, "gap" for a gap."""
        return [show(item) for item in self.items]

    def wait_for(self, count: int) -> list[str]:
        """The places of the first `count` items, as soon as they are there."""
        wait_until(lambda: len(self.items) >= count, f"{count} items of a stream; there are {self.places}")
        return self.places[:count]

    def to_the_end(self, seconds: float = PATIENCE_SECONDS) -> list[str]:
        """The places of everything, when the reader has ended."""
        self.task.result(seconds)
        return self.places

    @property
    def gap(self) -> Gap:
        """The one gap, which is the last item."""
        gaps = [item for item in self.items if isinstance(item, Gap)]
        assert gaps == self.items[-1:]
        return gaps[0]

    def stop(self) -> None:
        """Cancel the reader, as the end of a connection does."""
        self.task.cancel()


class ThreadReading:
    """One reader of a thread's stream, and what it has given so far; heartbeats apart."""

    def __init__(self) -> None:
        self.items: list[tuple[UUID, Item]] = []
        self.task: Future[None]

    async def collect(self, reader: ThreadReader) -> None:
        """Read until the reader ends."""
        async for run_id, item in reader.read():
            if not isinstance(item, Heartbeat):
                assert run_id is not None
                self.items.append((run_id, item))

    def wait_for(self, *expected: tuple[UUID, str]) -> None:
        """Return when exactly these items have been given."""
        wait_until(lambda: len(self.items) >= len(expected), f"{len(expected)} items; there are {self.items}")
        assert [(run_id, show(item)) for run_id, item in self.items] == list(expected)

    @property
    def last_id(self) -> str:
        """The id under which a client gets the last item."""
        run_id, item = self.items[-1]
        return id_of(item, prefix=f"{run_id}/")

    def stop(self) -> None:
        """Cancel the reader, as the end of a connection does."""
        self.task.cancel()


class Loop:
    """An event loop in a thread of its own, with the hub that its readers share."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="readers")

    def __enter__(self) -> Self:
        self._thread.start()
        self.hub = self.run(_new_hub())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(_end_all_tasks())
        self.run(self.hub.close())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin this in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], seconds: float = PATIENCE_SECONDS) -> T:
        """Do this in the loop and return its result."""
        return self.start(work).result(seconds)

    def read(self, run_id: UUID, cursor: Cursor | str = From.START) -> Reading:
        """Begin to read the run's stream; a cursor as text is what a client sends as Last-Event-ID."""
        reading = Reading()
        start = parse_cursor(cursor) if isinstance(cursor, str) else cursor
        reading.reader = HeldReader(self.hub, run_id, start)
        reading.task = self.start(reading.collect())
        return reading

    def read_thread(self, thread_id: UUID, last_event_id: str | None = None, owner: Any = None) -> "ThreadReading":
        """Begin to read the thread's stream."""
        reading = ThreadReading()
        reader = ThreadReader(self.hub, thread_id, find_start(thread_id, last_event_id, owner=owner), owner)
        reading.task = self.start(reading.collect(reader))
        return reading

    def hold(self, reading: Reading) -> None:
        """Return when the reader has read what there is and waits: what is written now is written after that."""
        wait_until(lambda: reading.reader.waits, "the reader to wait")


async def _new_hub() -> Hub:
    return Hub()


async def _end_all_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def show(item: Item) -> str:
    """An item in a word."""
    if isinstance(item, Frame):
        return "end" if item.place.is_end else str(item.place)
    return "gap"


def id_of(item: Item, prefix: str = "") -> str:
    """The id under which a client gets the item, and from which it goes on."""
    lines = encode(item, prefix=prefix).decode().split("\r\n")
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    assert ids, f"{item} has no id: a client that is cut after it cannot go on"
    return ids[-1]


def place(text: str) -> Place:
    """A place as it is written."""
    attempt, number = text.split("-")
    return Place(int(attempt), int(number))
