"""Streams on which nothing happens: what each holds, and what all of them cost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp

from bench.compare.load import Load, Refused
from bench.compare.sampling import Missing, Row, Scale
from bench.compare.servers import Server
from bench.compare.single import LONG

#: Opened at a time.
PORTION = 50
OPEN_SECONDS = 60.0
SETTLE_SECONDS = 1.0
#: Below this a difference of memory is noise.
FEW = 100


async def idle_streams(load: Load, server: Server, scale: Scale) -> AsyncIterator[Row | Missing]:
    """Streams of one run that waits, more and more of them; where they cannot all be opened in a minute, no more."""
    thread = await load.thread()
    run = await load.create(thread, "waits", input=LONG)
    await load.until(thread, run, "running")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(load.joined(thread, run))
        await asyncio.sleep(SETTLE_SECONDS)
        before, opened = server.resident_kib(), 0
        for count in scale.idle:
            name = f"{count:,} idle streams" if count > 1 else "1 idle stream"
            if f"{name}: processor" in scale.left_out:
                break
            if why := await _refusal(stack, load, (thread, run), count - opened):
                yield Missing(f"{name}: processor", why)
                break
            opened = count
            await asyncio.sleep(SETTLE_SECONDS)
            yield Row(f"{name}: processor", [await _processor(server, scale.idle_seconds)], "% of a core")
            if count >= FEW:
                yield Row(f"{name}: memory each", [(server.resident_kib() - before) / count], "KiB")
    await load.post(f"/threads/{thread}/runs/{run}/cancel?wait=1&action=interrupt")


async def _refusal(stack: AsyncExitStack, load: Load, of: tuple[str, str], count: int) -> str:
    """Open so many more; why that was not possible, or nothing."""
    turn, why = asyncio.Semaphore(PORTION), ""

    async def open_one() -> None:
        async with turn:
            await stack.enter_async_context(load.joined(*of))

    try:
        async with asyncio.timeout(OPEN_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(open_one())
    except* TimeoutError:
        why = f"not opened in {OPEN_SECONDS:.0f} s"
    except* (OSError, aiohttp.ClientError, Refused) as refused:
        why = f"refused: {refused.exceptions[0]!r}"[:200]
    return why


async def _processor(server: Server, seconds: float) -> float:
    """The share of one core that all of its processes use."""
    used, began = server.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(seconds)
    return 100 * (server.cpu_seconds() - used) / (time.perf_counter() - began)
