"""One request at a time: create, stream, cancel, hand over; and on threads that have a history."""

import asyncio
import time
from collections.abc import AsyncIterator

from bench.compare.load import Load, Times
from bench.compare.sampling import LEAST, Missing, Row, Scale, milliseconds, sampled
from bench.compare.servers import Server

LONG = {"seconds": 600.0}
#: Runs at once, before the first is measured: every process has done then what it does only once.
WARM_UP = 16


async def create_to_done(load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """A run without work, from the request to its result: by wait and by join; by stream it is in `streaming`."""

    async def wait() -> float:
        return await _wait_on(load, await load.thread())

    async def create() -> float:
        thread = await load.thread()
        began = time.perf_counter()
        run = await load.create(thread, "no_work")
        took = time.perf_counter() - began
        await load.until_done(thread, run)
        return took

    async def join() -> float:
        thread = await load.thread()
        began = time.perf_counter()
        run = await load.create(thread, "no_work")
        await load.get(f"/threads/{thread}/runs/{run}/join")
        return time.perf_counter() - began

    await asyncio.gather(*(wait() for _ in range(WARM_UP)))
    yield Row("runs/wait, no work", await milliseconds(scale, wait))
    yield Row("create and join, no work", await milliseconds(scale, join))
    yield Row("POST runs", await milliseconds(scale, create))


async def _wait_on(load: Load, thread: str) -> float:
    began = time.perf_counter()
    await load.wait(thread, "no_work")
    return time.perf_counter() - began


async def streaming(load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """A run without work, streamed to its end: the third way to wait for it."""

    async def once() -> Times:
        return await load.stream(await load.thread(), "no_work", mode="updates")

    found = await sampled(scale, once)
    yield Row("stream: headers", [times.headers * 1000 for times in found])
    yield Row("stream: first event", [times.first * 1000 for times in found])
    yield Row("stream: last event", [times.last * 1000 for times in found])


async def long_streams(load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """A run of 1,000 events and one of 2,000 tokens."""
    for name, graph, mode, count in (
        ("1,000 events", "frames", "custom", 1000),
        ("2,000 tokens", "tokens", "messages-tuple", 2000),
    ):
        asked = {"count": count, "log": []}
        every = [await load.stream(await load.thread(), graph, input=asked, mode=mode) for _ in range(LEAST)]
        yield Row(f"stream of {name}: first event", [times.first * 1000 for times in every])
        yield Row(f"stream of {name}: last event", [times.last * 1000 for times in every])


async def cancelling(load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """Cancel a run that executes; hand its thread over to a successor."""

    async def running() -> tuple[str, str]:
        thread = await load.thread()
        run = await load.create(thread, "waits", input=LONG)
        await load.until(thread, run, "running")
        return thread, run

    async def and_wait() -> float:
        thread, run = await running()
        began = time.perf_counter()
        await load.post(f"/threads/{thread}/runs/{run}/cancel?wait=1&action=interrupt")
        return time.perf_counter() - began

    async def until_interrupted() -> float:
        thread, run = await running()
        began = time.perf_counter()
        await load.post(f"/threads/{thread}/runs/{run}/cancel?wait=0&action=interrupt")
        await load.until(thread, run, "interrupted")
        return time.perf_counter() - began

    async def first_step() -> float:
        thread, _ = await running()
        return (await load.stream(thread, "no_work", mode="updates", multitask_strategy="interrupt")).first

    async def successor_done() -> float:
        thread, _ = await running()
        began = time.perf_counter()
        run = await load.create(thread, "no_work", multitask_strategy="interrupt")
        await load.until_done(thread, run)
        return time.perf_counter() - began

    yield Row("cancel, wait=1", await milliseconds(scale, and_wait))
    yield Row("cancel, until interrupted", await milliseconds(scale, until_interrupted))
    some = max(LEAST, scale.samples // 3)
    yield Row("interrupt, until the successor's first step", await milliseconds(scale, first_step, some))
    yield Row("interrupt, until the successor is done", await milliseconds(scale, successor_done, some))


async def histories(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """Runs on threads that have had 1, 100 and more: those of this server, and the ones that it has brought."""
    for length in (1, 100):
        fresh = await _thread_of(load, length)
        async for row in _on_threads(load, scale, length, fresh):
            yield row
    for length, thread in server.histories.items():
        async for row in _on_threads(load, scale, length, thread):
            yield row


async def _on_threads(load: Load, scale: Scale, length: int, thread: str) -> AsyncIterator[Row]:
    """A thread of one run is made anew each time; to the others the few that are measured add nothing."""

    async def chosen() -> str:
        return await _thread_of(load, length) if length == 1 else thread

    async def wait() -> float:
        return await _wait_on(load, await chosen())

    async def stream() -> Times:
        return await load.stream(await chosen(), "no_work", mode="updates")

    some = max(LEAST, scale.samples // 2)
    yield Row(f"{length:,} on the thread: runs/wait", await milliseconds(scale, wait, some))
    found = await sampled(scale, stream, some)
    yield Row(f"{length:,} on the thread: first event", [times.first * 1000 for times in found])
    yield Row(f"{length:,} on the thread: last event", [times.last * 1000 for times in found])


async def _thread_of(load: Load, runs: int) -> str:
    thread = await load.thread()
    for _ in range(runs):
        await load.wait(thread, "no_work")
    return thread
