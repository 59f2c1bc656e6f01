"""Readers that attach while events are being written, and a silence in the middle: nothing is missing, nothing twice.

Two readers as one writes them at first are the controls; the same scene must be too much for them.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from typing import Any

import pytest
import redis.asyncio
from django.conf import settings

from runs.models import Run
from runs.streaming import log
from runs.streaming.connection import writer
from runs.streaming.frames import Frame, From, Gap
from runs.streaming.hub import Hub
from runs.streaming.reader import RunReader
from tests.support.handwritten import end, running_run
from tests.support.ledger import wait_until
from tests.support.reading import Loop
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.timeout(900)]

#: Each on a run of its own.
WAVES = rounds(10)
ATTACHES = 50
FRAMES_BETWEEN = 2
BEFORE_SILENCE = ATTACHES * FRAMES_BETWEEN
WRITTEN = BEFORE_SILENCE + 300
#: Every fifth time the controls attach, too.
CONTROL_EVERY = 5
#: How long a naive reader waits for more; longer than redis-py does by default.
PATIENCE_SECONDS = 60.0

Read = Callable[[Hub, Run], AsyncIterator[int]]


async def ours(hub: Hub, run: Run) -> AsyncIterator[int]:
    """The product's reader."""
    async for item in RunReader(hub, run.pk, From.START).read():
        assert not isinstance(item, Gap), item
        if isinstance(item, Frame) and not item.place.is_end:
            assert item.event == "custom", item
            yield item.payload


async def read_then_subscribe(hub: Hub, run: Run) -> AsyncIterator[int]:
    """First what there is, then what comes: nobody listens in between, a moment that lasts until it matters."""
    client: Any = redis.asyncio.Redis.from_url(settings.REDIS_URL, decode_responses=True, socket_timeout=None)
    async with client:
        read = await client.xrange(log.key(run.pk))
        for _, fields in read:
            yield json.loads(fields["d"])
        while await client.xlen(log.key(run.pk)) == len(read):
            await asyncio.sleep(0.001)
        async for number in follow(client, run, "$"):
            yield number


async def default_timeout(hub: Hub, run: Run) -> AsyncIterator[int]:
    """In the right order, but with the client as the library makes it."""
    client: Any = redis.asyncio.Redis.from_url(settings.REDIS_URL, decode_responses=True)
    async with client:
        async for number in follow(client, run, "0"):
            yield number


async def follow(client: Any, run: Run, last: str) -> AsyncIterator[int]:
    """One blocked connection for one reader."""
    while entries := await client.xread({log.key(run.pk): last}, block=int(PATIENCE_SECONDS * 1000)):
        for entry_id, fields in entries[0][1]:
            last = entry_id
            if fields["e"] == "end":
                return
            yield json.loads(fields["d"])


class Attached:
    """One reader, and the numbers it has seen, also if it broke."""

    def __init__(self, loop: Loop, read: Read, run: Run) -> None:
        self.numbers: list[int] = []
        self.task: Future[None] = loop.start(self._collect(read(loop.hub, run)))

    async def _collect(self, numbers: AsyncIterator[int]) -> None:
        async for number in numbers:
            self.numbers.append(number)

    def seen(self) -> list[int]:
        """Everything it saw, when it has ended."""
        self.error = self.task.exception(300)
        return self.numbers


Readers = dict[Read, list[Attached]]


@pytest.fixture(scope="module")
def attached(db: None, loop: Loop) -> Readers:
    """The scene, a number of times: all have attached and ended."""
    found: Readers = {ours: [], read_then_subscribe: [], default_timeout: []}
    for _ in range(WAVES):
        for read, readers in wave(loop).items():
            found[read] += readers
    return found


def wave(loop: Loop) -> Readers:
    """Readers attach while frames are written; then there is silence until the impatient have given up, then more."""
    run = running_run()
    found: Readers = {ours: [], read_then_subscribe: [], default_timeout: []}
    writing = threading.Thread(target=write, args=(run, range(BEFORE_SILENCE)))
    writing.start()
    for number in range(ATTACHES):
        wait_for_frame(run, number * FRAMES_BETWEEN)
        for read, readers in found.items():
            if read is ours or number % CONTROL_EVERY == 0:
                readers.append(Attached(loop, read, run))
    writing.join()
    wait_until(lambda: all(reader.task.done() for reader in found[default_timeout]), "the impatient", 120)
    write(run, range(BEFORE_SILENCE, WRITTEN))
    end(run, last_frame=WRITTEN - 1)
    for readers in found.values():
        for reader in readers:
            reader.seen()
    return found


def write(run: Run, numbers: Iterable[int]) -> None:
    """One frame at a time."""
    for number in numbers:
        assert log.append(run.pk, 1, [(number, "custom", json.dumps(number))])


def wait_for_frame(run: Run, number: int) -> None:
    """Return when this frame has been written."""
    while not writer().xrange(log.key(run.pk), min=f"1-{number}", count=1):
        time.sleep(0.0005)


def test_whoever_attaches_while_events_are_written_gets_all_of_them_once(attached: Readers) -> None:
    readers = attached[ours]
    assert [reader.error for reader in readers] == [None] * ATTACHES * WAVES
    assert [reader.numbers == list(range(WRITTEN)) for reader in readers] == [True] * ATTACHES * WAVES


def test_a_reader_that_reads_first_and_subscribes_afterwards_loses_events(attached: Readers) -> None:
    """Negative control: everything but the order of the two is right."""
    readers = attached[read_then_subscribe]
    assert [len(reader.numbers) < WRITTEN for reader in readers] == [True] * len(readers)


def test_a_reader_that_blocks_with_the_librarys_timeout_loses_events(attached: Readers) -> None:
    """Negative control: everything but the timeout is right."""
    readers = attached[default_timeout]
    assert [len(reader.numbers) for reader in readers] == [BEFORE_SILENCE] * len(readers)
    assert {type(reader.error) for reader in readers} == {redis.TimeoutError}
