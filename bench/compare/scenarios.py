"""What is measured. A scenario gets a server and returns its rows: name -> seconds each, or a number with its unit."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.compare.load import Load, client
from bench.compare.servers import Server

#: How often each of the short ones is repeated in a round.
SAMPLES = 30
THROUGHPUT_SECONDS = 5.0
LONG = {"seconds": 600.0}
CALL_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0
FLOODING_CLIENTS = 32


@dataclass(frozen=True)
class Scale:
    """How much of everything: `make bench` measures all, a trial a little."""

    samples: int = SAMPLES
    clients: tuple[int, ...] = (1, 16, 64, 256)
    waiting: tuple[int, ...] = (64, 512)
    queued: int = 200
    idle: tuple[int, ...] = (100, 1000)
    flood_seconds: float = 10.0


@dataclass(frozen=True)
class Row:
    """`values` in `unit`; `more_is_better` for rates."""

    name: str
    values: list[float]
    unit: str = "ms"
    more_is_better: bool = False


Scenario = Callable[[Load, Server, Scale], AsyncIterator[Row]]


async def _milliseconds(count: int, once: Callable[[], Awaitable[float]]) -> list[float]:
    await once()  # what a process does only the first time
    return [await once() * 1000 for _ in range(count)]


async def create_to_done(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
    """A run without work, from the request to its result, by each of the three ways to wait for it."""

    async def wait() -> float:
        thread = await load.thread()
        began = time.perf_counter()
        await load.wait(thread, "no_work")
        return time.perf_counter() - began

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

    yield Row("runs/wait, no work", await _milliseconds(scale.samples, wait))
    yield Row("create and join, no work", await _milliseconds(scale.samples, join))
    yield Row("POST runs", await _milliseconds(scale.samples, create))


async def streaming(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
    """A run without work, streamed; one of 1,000 events and one of 2,000 tokens."""
    await load.stream(await load.thread(), "no_work", mode="updates")
    found = [await load.stream(await load.thread(), "no_work", mode="updates") for _ in range(scale.samples)]
    yield Row("stream: headers", [times.headers * 1000 for times in found])
    yield Row("stream: first event", [times.first * 1000 for times in found])
    yield Row("stream: last event", [times.last * 1000 for times in found])
    for name, graph, mode, count in (
        ("1,000 events", "frames", "custom", 1000),
        ("2,000 tokens", "tokens", "messages-tuple", 2000),
    ):
        asked = {"count": count, "log": []}
        every = [await load.stream(await load.thread(), graph, input=asked, mode=mode) for _ in range(3)]
        yield Row(f"stream of {name}: first event", [times.first * 1000 for times in every])
        yield Row(f"stream of {name}: last event", [times.last * 1000 for times in every])


async def cancelling(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
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

    async def handover() -> float:
        thread, _ = await running()
        began = time.perf_counter()
        run = await load.create(thread, "no_work", multitask_strategy="interrupt")
        await load.until_done(thread, run)
        return time.perf_counter() - began

    yield Row("cancel, wait=1", await _milliseconds(scale.samples, and_wait))
    yield Row("cancel, until interrupted", await _milliseconds(scale.samples, until_interrupted))
    yield Row("interrupt, until the successor is done", await _milliseconds(scale.samples // 3, handover))


async def throughput(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
    """Clients that do one run without work after the other, each on a thread of its own."""

    async def wait(thread: str) -> None:
        await load.wait(thread, "no_work")

    async def stream(thread: str) -> None:
        await load.stream(thread, "no_work", mode="updates")

    for clients in scale.clients:
        for name, once in (("wait", wait), ("stream", stream)):
            rate = await _rate([await load.thread() for _ in range(clients)], once)
            yield Row(f"{clients} clients, {name}", [rate], "runs/s", more_is_better=True)


async def _rate(threads: Sequence[str], once: Callable[[str], Awaitable[None]]) -> float:
    """One client a thread. Whole rounds count: a run that is under way at the end is waited for, and so is its time."""
    began, done = time.perf_counter(), 0

    async def work(thread: str) -> None:
        nonlocal done
        while time.perf_counter() - began < THROUGHPUT_SECONDS:
            await once(thread)
            done += 1

    async with asyncio.TaskGroup() as group:
        for thread in threads:
            group.create_task(work(thread))
    return done / (time.perf_counter() - began)


async def waiting_for_a_model(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
    """Many runs at once that wait two seconds each; ideal is two seconds."""
    for count in scale.waiting:
        if server.at_once and count / server.at_once * CALL_SECONDS > LONGEST_WAIT_SECONDS:
            continue  # it takes one after the other, which a smaller number shows as well
        threads = await asyncio.gather(*(load.thread() for _ in range(count)))
        began = time.perf_counter()
        await asyncio.gather(*(load.wait(one, "waits", input={"seconds": CALL_SECONDS}) for one in threads))
        ideal = (time.perf_counter() - began) / CALL_SECONDS
        yield Row(f"{count} runs of 2 s at once", [ideal], "x ideal")
        yield Row(f"{count} runs of 2 s at once: memory", [server.resident_kib() / 1024], "MiB")


async def queue(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
    """Many runs on one thread, one after the other."""
    thread = await load.thread()
    began = time.perf_counter()
    runs = [await load.create(thread, "no_work", multitask_strategy="enqueue") for _ in range(scale.queued)]
    accepted = time.perf_counter() - began
    await load.until_done(thread, runs[-1])
    yield Row(f"queue of {scale.queued} on one thread: accepted", [accepted * 1000])
    yield Row(f"queue of {scale.queued} on one thread: done", [(time.perf_counter() - began) * 1000])


async def idle_streams(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
    """Streams of one run that waits."""
    for count in scale.idle:
        thread = await load.thread()
        run = await load.create(thread, "waits", input=LONG)
        await load.until(thread, run, "running")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(load.joined(thread, run))
            await asyncio.sleep(1)
            before = server.resident_kib()
            for _ in range(count):
                await stack.enter_async_context(load.joined(thread, run))
            await asyncio.sleep(1)
            used, began = server.cpu_seconds(), time.perf_counter()
            yield Row(f"{count} idle streams: memory each", [(server.resident_kib() - before) / count], "KiB")
            await asyncio.sleep(10)
            share = (server.cpu_seconds() - used) / (time.perf_counter() - began)
            yield Row(f"{count} idle streams: processor", [share * 100], "% of a core")
        await load.post(f"/threads/{thread}/runs/{run}/cancel?wait=1&action=interrupt")


async def two_tenants(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row]:
    """One creates runs as fast as the server accepts them, the other asks for one at a time."""
    async with client(server.url, server.others) as quiet:
        yield Row("a tenant alone: runs/wait", await _milliseconds(scale.samples, lambda: _wait_once(quiet)))
        async with asyncio.TaskGroup() as group:
            flood = [group.create_task(_flood(load, scale.flood_seconds)) for _ in range(FLOODING_CLIENTS)]
            await asyncio.sleep(scale.flood_seconds / 4)
            began, found = time.perf_counter(), []
            while time.perf_counter() - began < scale.flood_seconds / 2:
                found.append(await _wait_once(quiet) * 1000)
        yield Row("a tenant beside one that floods: runs/wait", found)
    created = [run for one in flood for run in one.result()]
    yield Row("the flood: accepted", [len(created) / scale.flood_seconds], "runs/s", more_is_better=True)
    for thread, run in created:
        await load.until_done(thread, run)


async def _wait_once(load: Load) -> float:
    thread = await load.thread()
    began = time.perf_counter()
    await load.wait(thread, "no_work")
    return time.perf_counter() - began


async def _flood(load: Load, seconds: float) -> list[tuple[str, str]]:
    began, created = time.perf_counter(), []
    while time.perf_counter() - began < seconds:
        thread = await load.thread()
        created.append((thread, await load.create(thread, "no_work")))
    return created


SCENARIOS: dict[str, Scenario] = {
    "create": create_to_done,
    "stream": streaming,
    "cancel": cancelling,
    "throughput": throughput,
    "waiting": waiting_for_a_model,
    "queue": queue,
    "idle": idle_streams,
    "tenants": two_tenants,
}
