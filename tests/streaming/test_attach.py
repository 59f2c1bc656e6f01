"""Readers that attach while events are being written, and a silence in the middle: nothing is missing.

Two readers as one writes them at first are the controls; the same scene must be too much for them.
"""

import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any

import pytest
import redis
import redis.asyncio
from django.conf import settings

from runs.models import Run
from runs.streaming import log
from runs.streaming.frames import From
from runs.streaming.hub import Hub
from runs.streaming.reader import Heartbeat, RunReader
from tests.support.handwritten import end, running_run
from tests.support.reading import Loop
from tests.support.scale import rounds

pytestmark = pytest.mark.usefixtures("db", "intact")

ATTACHES = rounds(500)
FRAMES_BETWEEN = 2
FRAMES_AFTERWARDS = 300
#: Longer than redis-py waits by default, and than a heartbeat takes.
SILENCE_SECONDS = 5.5
#: How long a naive reader waits for more; the silence is not longer.
PATIENCE_SECONDS = 8.0

Numbers = list[int]
Read = Callable[[Hub, Run], AsyncIterator[int]]


async def ours(hub: Hub, run: Run) -> AsyncIterator[int]:
    """The product's reader."""
    beats = 0
    async for item in RunReader(hub, run.pk, From.START).read():
        if isinstance(item, Heartbeat):
            beats += 1
        elif item.event == "custom":  # type: ignore[union-attr] # a gap has no event, and would fail the test
            yield item.payload  # type: ignore[union-attr]
    assert beats


async def read_then_subscribe(hub: Hub, run: Run) -> AsyncIterator[int]:
    """First what there is, then what comes: nobody listens in between."""
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL, decode_responses=True, socket_timeout=None)
    async with client:
        for _, fields in await client.xrange(log.key(run.pk)):
            yield json.loads(fields["d"])
        last = "$"
        while entries := await client.xread({log.key(run.pk): last}, block=int(PATIENCE_SECONDS * 1000)):
            for entry_id, fields in entries[0][1]:
                last = entry_id
                if fields["e"] == "end":
                    return
                yield json.loads(fields["d"])


async def default_timeout(hub: Hub, run: Run) -> AsyncIterator[int]:
    """In the right order, but with the client as the library makes it."""
    async with redis.asyncio.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        last = "0"
        while entries := await client.xread({log.key(run.pk): last}, block=int(PATIENCE_SECONDS * 1000)):
            for entry_id, fields in entries[0][1]:
                last = entry_id
                if fields["e"] == "end":
                    return
                yield json.loads(fields["d"])


@pytest.mark.timeout(180)
def test_whoever_attaches_while_events_are_written_gets_all_of_them(loop: Loop) -> None:
    run = running_run()
    written = ATTACHES * FRAMES_BETWEEN + FRAMES_AFTERWARDS
    readers: dict[Read, list[Future[Any]]] = {ours: [], read_then_subscribe: [], default_timeout: []}

    write_until_all_are_there = threading.Thread(target=write, args=(run, written))
    write_until_all_are_there.start()
    for number in range(ATTACHES):
        wait_for_frame(run, number * FRAMES_BETWEEN)
        for read, futures in readers.items():
            if read is ours or number % 10 == 0:
                futures.append(loop.start(collect(read, loop.hub, run)))
    write_until_all_are_there.join()
    end(run, last_frame=written - 1)

    everything = list(range(written))
    assert [future.result(60) == everything for future in readers[ours]] == [True] * ATTACHES
    assert any(future.result(60) != everything for future in readers[read_then_subscribe])
    assert {type(future.exception(60)) for future in readers[default_timeout]} == {redis.TimeoutError}


async def collect(read: Read, hub: Hub, run: Run) -> Numbers:
    return [number async for number in read(hub, run)]


def write(run: Run, count: int) -> None:
    """One frame at a time, with a long silence after the last attach."""
    for number in range(count):
        if number == ATTACHES * FRAMES_BETWEEN:
            time.sleep(SILENCE_SECONDS)
        assert log.append(run.pk, 1, [(number, "custom", json.dumps(number))])


def wait_for_frame(run: Run, number: int) -> None:
    """Return when this frame has been written."""
    from runs.streaming.connection import writer

    while not writer().xrange(log.key(run.pk), min=f"1-{number}", count=1):
        time.sleep(0.0005)
