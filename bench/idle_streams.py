"""What a stream costs on which nothing happens, and how soon an event arrives when something does."""

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import django

from bench.report import percentiles, show
from bench.stack import Stack, started
from tests.support.web import Event, Response, request

AT_ONCE = 16
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 20.0
#: Between two events, so that an arrival is not measured while the next event is written.
PAUSE_SECONDS = 0.01
PATIENCE_SECONDS = 60.0
#: Streams that get an event, at most.
WRITTEN = 1000


class Stream:
    """One client that watches a run which waits for its time, and reads all the while."""

    def __init__(self, run_id: UUID, response: Response) -> None:
        self.run_id, self._response = run_id, response
        self.heartbeats = 0
        self.arrival = asyncio.create_task(self._next_event())

    async def _next_event(self) -> tuple[Event, float]:
        """The first event, and when it arrived; heartbeats are counted."""
        async for event in self._response.events():
            if event is not None:
                return event, time.perf_counter()
            self.heartbeats += 1
        raise SystemExit(f"the stream of run {self.run_id} has ended")


@asynccontextmanager
async def opened(stack: Stack, count: int) -> AsyncIterator[list[Stream]]:
    """This many streams, each of a run on a thread of its own that is due in an hour."""
    async with AsyncExitStack() as connections:
        turn = asyncio.Semaphore(AT_ONCE)

        async def open_one() -> Stream:
            async with turn:
                return await connections.enter_async_context(_stream(stack))

        yield list(await asyncio.gather(*(open_one() for _ in range(count))))


@asynccontextmanager
async def _stream(stack: Stack) -> AsyncIterator[Stream]:
    body = {"assistant_id": "no_work", "if_not_exists": "create", "after_seconds": 3600, "on_disconnect": "continue"}
    path = f"{stack.url}/threads/{uuid4()}/runs/stream"
    async with request("POST", path, stack.api_key, body) as response:
        if response.status != 200:  # noqa: PLR2004
            raise SystemExit(f"a stream was refused: {await response.text()}")
        run_id = UUID(response.headers["content-location"].rpartition("/")[2])
        yield Stream(run_id, response)


async def write_one_each(streams: Sequence[Stream]) -> list[float]:
    """One event on each stream, written as a worker writes it; the seconds from there to its arrival."""
    written = await asyncio.to_thread(_write, [stream.run_id for stream in streams])
    async with asyncio.timeout(PATIENCE_SECONDS):
        received = [await stream.arrival for stream in streams]
    if wrong := [event for event, _ in received if event.data["at"] not in written]:
        raise SystemExit(f"events that nobody has written: {wrong[:3]}")
    return [arrived_at - event.data["at"] for event, arrived_at in received]


def _write(run_ids: Sequence[UUID]) -> set[float]:
    from runs.streaming import log

    written = set()
    for run_id in run_ids:
        written.add(at := time.perf_counter())
        log.append(run_id, 1, [(0, "custom", json.dumps({"at": at}))])
        time.sleep(PAUSE_SECONDS)
    return written


async def measure(stack: Stack, count: int) -> dict[str, Any]:
    """Everything about this many streams."""
    async with opened(stack, AT_ONCE) as few:  # whatever a process needs only once it has by now
        await write_one_each(few)
    await asyncio.sleep(SETTLE_SECONDS)
    before = stack.usage()
    async with opened(stack, count) as streams:
        await asyncio.sleep(SETTLE_SECONDS)
        began, begun_at = stack.usage(), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)
        idle, seconds = stack.usage(), time.perf_counter() - begun_at
        arrivals = await write_one_each(streams[:WRITTEN])
        heartbeats = sum(stream.heartbeats for stream in streams)
    return {
        "streams": count,
        "before": asdict(before),
        "open": asdict(idle),
        "kib_per_stream": round((idle.resident_kib - before.resident_kib) / count, 1),
        "idle_cpu_percent": round(100 * (idle.cpu_seconds - began.cpu_seconds) / seconds, 1),
        "heartbeats": heartbeats,
        "event_to_arrival": percentiles(arrivals),
    }


HELD = {
    "resident_kib": "resident memory, KiB",
    "files": "open files",
    "redis_connections": "connections to Redis",
    "postgres_connections": "connections to PostgreSQL",
}


def rows_of(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What was found, as a table."""
    for name, words in HELD.items():
        before, held = found["before"][name], found["open"][name]
        yield {"the web process": words, "before": before, "open": held, "a stream": (held - before) / found["streams"]}
    yield {
        "the web process": "processor, % of one core, nothing happens",
        "before": "",
        "open": found["idle_cpu_percent"],
        "a stream": "",
    }
    arrival = found["event_to_arrival"]
    words = f"p50 {arrival['p50_ms']} ms, p95 {arrival['p95_ms']} ms"
    yield {"the web process": "event written to event arrived", "before": "", "open": words, "a stream": ""}


def main() -> None:
    """Measure on a stack of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with started(streams=given.streams) as stack:
        use(stack)
        found = asyncio.run(measure(stack, given.streams))
    show(list(rows_of(found)), as_json=given.json, **(found if given.json else {"streams": given.streams}))


def use(stack: Stack) -> None:
    """Have this process write to the stack's Redis, with the code of a worker."""
    os.environ |= {**stack.values, "DJANGO_SETTINGS_MODULE": "project.settings"}
    django.setup()


if __name__ == "__main__":
    main()
