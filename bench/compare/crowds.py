"""Many at once: clients, runs that wait, a queue, two tenants."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from bench.compare.load import Load, client
from bench.compare.sampling import Missing, Row, Scale, milliseconds
from bench.compare.servers import Server

CALL_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0
FLOODING_CLIENTS = 32


async def throughput(load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """Clients that do one run without work after the other, each on a thread of its own."""

    async def wait(thread: str) -> None:
        await load.wait(thread, "no_work")

    async def stream(thread: str) -> None:
        await load.stream(thread, "no_work", mode="updates")

    for clients in scale.clients:
        for name, once in (("wait", wait), ("stream", stream)):
            rate = await _rate([await load.thread() for _ in range(clients)], once, scale.throughput_seconds)
            yield Row(f"{clients} client{'s' if clients > 1 else ''}, {name}", [rate], "runs/s", more_is_better=True)


async def _rate(threads: Sequence[str], once: Callable[[str], Awaitable[None]], seconds: float) -> float:
    """One client a thread. Whole rounds count: a run that is under way at the end is waited for, and so is its time."""
    began, done = time.perf_counter(), 0

    async def work(thread: str) -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            await once(thread)
            done += 1

    async with asyncio.TaskGroup() as group:
        for thread in threads:
            group.create_task(work(thread))
    return done / (time.perf_counter() - began)


async def waiting_for_a_model(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """Many runs at once that wait two seconds each; ideal is two seconds."""
    for count in scale.waiting:
        name = f"{count} runs of 2 s at once"
        least = count / server.at_once * CALL_SECONDS if server.at_once else CALL_SECONDS
        if least > LONGEST_WAIT_SECONDS:
            yield Missing(name, f"{server.at_once} at a time: it would take {least:.0f} s")
        elif name not in scale.left_out:
            threads = await asyncio.gather(*(load.thread() for _ in range(count)))
            began = time.perf_counter()
            await asyncio.gather(*(load.wait(one, "waits", input={"seconds": CALL_SECONDS}) for one in threads))
            yield Row(name, [(time.perf_counter() - began) / CALL_SECONDS], "x ideal")
            yield Row(f"{name}: memory", [server.resident_kib() / 1024], "MiB")


async def queue(load: Load, _server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """Many runs on one thread, one after the other."""
    name = f"queue of {scale.queued} on one thread"
    if f"{name}: accepted" in scale.left_out:
        return
    thread = await load.thread()
    began = time.perf_counter()
    runs = [await load.create(thread, "no_work", multitask_strategy="enqueue") for _ in range(scale.queued)]
    accepted = time.perf_counter() - began
    await load.until_done(thread, runs[-1])
    done = time.perf_counter() - began
    yield Row(f"{name}: accepted", [accepted * 1000])
    yield Row(f"{name}: done", [done * 1000])


async def two_tenants(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """One creates runs as fast as the server accepts them, the other asks for one at a time.

    What the flood leaves behind is not waited for: this is the last that a server is asked for.
    """
    async with client(server.url, server.others) as quiet:
        yield Row("a tenant alone: runs/wait", await milliseconds(scale, lambda: _wait_once(quiet)))
        async with asyncio.TaskGroup() as group:
            flood = [group.create_task(_flood(load, scale.flood_seconds)) for _ in range(FLOODING_CLIENTS)]
            await asyncio.sleep(scale.flood_seconds / 4)
            began, found = time.perf_counter(), []
            while time.perf_counter() - began < scale.flood_seconds / 2:
                found.append(await _wait_once(quiet) * 1000)
        yield Row("a tenant beside one that floods: runs/wait", found)
    rate = sum(one.result() for one in flood) / scale.flood_seconds
    yield Row("the flood: accepted", [rate], "runs/s", more_is_better=True)


async def _wait_once(load: Load) -> float:
    thread = await load.thread()
    began = time.perf_counter()
    await load.wait(thread, "no_work")
    return time.perf_counter() - began


async def _flood(load: Load, seconds: float) -> int:
    began, created = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        await load.create(await load.thread(), "no_work")
        created += 1
    return created
