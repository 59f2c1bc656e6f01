"""Readers that attach while events are being written, and a silence in the middle: nothing is missing, nothing twice.

Two readers as one writes them at first are the controls; the same scene must be too much for them.
"""

import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any

import pytest
import redis.asyncio
from django.conf import settings

from runs.models import Run
from runs.streaming import log
from runs.streaming.connection import writer
from runs.streaming.frames import Frame, From
from runs.streaming.hub import Hub
from runs.streaming.reader import Heartbeat, RunReader
from tests.support.handwritten import end, running_run
from tests.support.reading import Loop
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.timeout(400)]

ATTACHES = rounds(500)
FRAMES_BETWEEN = 2
FRAMES_AFTERWARDS = 300
WRITTEN = ATTACHES * FRAMES_BETWEEN + FRAMES_AFTERWARDS
#: Every tenth time the controls attach, too.
CONTROL_EVERY = 10
#: Longer than redis-py waits by default, and than a heartbeat takes.
SILENCE_SECONDS = 5.5
#: How long a naive reader waits for more; the silence is not longer.
PATIENCE_SECONDS = 8.0

Read = Callable[[Hub, Run], AsyncIterator[int]]


async def ours(hub: Hub, run: Run) -> AsyncIterator[int]:
    """The product's reader."""
    beats = 0
    async for item in RunReader(hub, run.pk, From.START).read():
        if isinstance(item, Heartbeat):
            beats += 1
            continue
        assert isinstance(item, Frame), item
        if item.event == "custom":
            yield item.payload
    assert beats, "the silence was too short to be heard"


async def read_then_subscribe(hub: Hub, run: Run) -> AsyncIterator[int]:
    """First what there is, then what comes: nobody listens in between."""
    client: Any = redis.asyncio.Redis.from_url(settings.REDIS_URL, decode_responses=True, socket_timeout=None)
    async with client:
        for _, fields in await client.xrange(log.key(run.pk)):
            yield json.loads(fields["d"])
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


@pytest.fixture(scope="module")
def attached(db: None, loop: Loop) -> dict[Read, list[Attached]]:
    """The scene: all have attached and ended."""
    run = running_run()
    found: dict[Read, list[Attached]] = {ours: [], read_then_subscribe: [], default_timeout: []}
    writing = threading.Thread(target=write, args=(run,))
    writing.start()
    for number in range(ATTACHES):
        wait_for_frame(run, number * FRAMES_BETWEEN)
        for read, readers in found.items():
            if read is ours or number % CONTROL_EVERY == 0:
                readers.append(Attached(loop, read, run))
    writing.join()
    end(run, last_frame=WRITTEN - 1)
    return found


def write(run: Run) -> None:
    """One frame at a time, with a long silence after the last attach."""
    for number in range(WRITTEN):
        if number == ATTACHES * FRAMES_BETWEEN:
            time.sleep(SILENCE_SECONDS)
        assert log.append(run.pk, 1, [(number, "custom", json.dumps(number))])


def wait_for_frame(run: Run, number: int) -> None:
    """Return when this frame has been written."""
    while not writer().xrange(log.key(run.pk), min=f"1-{number}", count=1):
        time.sleep(0.0005)


def test_whoever_attaches_while_events_are_written_gets_all_of_them_once(
    attached: dict[Read, list[Attached]],
) -> None:
    readers = attached[ours]
    assert [reader.seen() == list(range(WRITTEN)) for reader in readers] == [True] * ATTACHES
    assert {reader.error for reader in readers} == {None}


def test_a_reader_that_reads_first_and_subscribes_afterwards_loses_events(
    attached: dict[Read, list[Attached]],
) -> None:
    """Negative control: everything but the order of the two is right."""
    seen = [reader.seen() for reader in attached[read_then_subscribe]]
    assert any(len(numbers) < WRITTEN for numbers in seen)


def test_a_reader_that_blocks_with_the_librarys_timeout_loses_events(attached: dict[Read, list[Attached]]) -> None:
    """Negative control: everything but the timeout is right."""
    readers = attached[default_timeout]
    assert [len(reader.seen()) for reader in readers] == [ATTACHES * FRAMES_BETWEEN] * len(readers)
    assert {type(reader.error) for reader in readers} == {redis.TimeoutError}
