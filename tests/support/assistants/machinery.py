"""Those that use the event loop, threads and processes."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import FOR_EVER, beat_for_ever, present


@assistant
async def yielding(run: RunContext, input: Any) -> None:
    """Awaits nothing but the loop itself: an interruption mostly hits the loop's own code."""
    with present(run):
        while True:
            await asyncio.sleep(0)


@assistant
async def offloading(run: RunContext, input: Any) -> None:
    """Waits for a thread that the loop has started and has to end."""
    with present(run):
        await asyncio.to_thread(time.sleep, 0.5)
        await asyncio.sleep(FOR_EVER)


@assistant
def forking(run: RunContext, input: Any) -> dict[str, int]:
    """Forks a helper and ends it, as a pool of processes does."""
    with present(run):
        ready, say = os.pipe()
        if (helper := os.fork()) == 0:
            os.write(say, b".")
            signal.pause()
        os.read(ready, 1)
        os.kill(helper, signal.SIGTERM)
        _, status = os.waitpid(helper, 0)
    return {"signal": os.WTERMSIG(status)}


@assistant
def straying(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """Forks, and forgets that the child goes on in the same code."""
    child = os.fork()
    run.emit({"child": child})
    if child:
        _, status = os.waitpid(child, 0)
        child = os.waitstatus_to_exitcode(status)
    yield {"child": child}


@assistant
def self_ending(run: RunContext, input: Any) -> None:
    """Every attempt politely asks its own process to end."""
    with present(run):
        os.kill(os.getpid(), signal.SIGTERM)
        beat_for_ever(run)
