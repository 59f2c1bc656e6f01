"""Test assistants for what many attempts in one process could do to each other. All write the ledger."""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import ANSWER, FOR_EVER, beat_for_ever, present
from tests.support.ledger import gate_is_open, note

#: As many programs have one: its threads outlive whoever has used it first.
POOL = ThreadPoolExecutor(2)


@assistant
async def waiting(run: RunContext, input: Any) -> dict[str, int]:
    """Await the gate that the input names."""
    with present(run):
        while not gate_is_open(input["gate"]):
            await asyncio.sleep(0.05)
    return ANSWER


@assistant
async def swallowing(run: RunContext, input: Any) -> None:
    """Lose the first cancellation, as libraries do."""
    with present(run):
        try:
            await asyncio.sleep(FOR_EVER)
        except asyncio.CancelledError:
            note(run.id, run.attempt, "swallowed")
        await asyncio.sleep(FOR_EVER)


@assistant
async def holding_in_c(run: RunContext, input: Any) -> None:
    """Hold the loop by a call that does not return."""
    with present(run):
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2_000_000_000)


@assistant
async def holding_in_python(run: RunContext, input: Any) -> None:
    """Hold the loop by code that does not await."""
    with present(run):
        beat_for_ever(run)


@assistant
def pooled(run: RunContext, input: Any) -> dict[str, int]:
    """Do something in a pool of threads that belongs to nobody."""
    with present(run):
        POOL.submit(time.sleep, 0.01).result()
    return ANSWER


@assistant
def pooled_for_ever(run: RunContext, input: Any) -> None:
    """Do something there that does not end by itself."""

    def work() -> None:
        with present(run, thread=True):
            beat_for_ever(run)

    with present(run):
        POOL.submit(work).result()


@assistant
async def forgetting(run: RunContext, input: Any) -> dict[str, int]:
    """Leave a task, a timer and a generator behind."""

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            note(run.id, run.attempt, "generator closed")

    async def go_on() -> None:
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            note(run.id, run.attempt, "task ended")

    loop = asyncio.get_running_loop()
    with present(run):
        run.forgotten = [numbers(), loop.create_task(go_on())]  # type: ignore[attr-defined]
        await anext(run.forgotten[0])  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        loop.call_later(0.5, note, run.id, run.attempt, "timer")
    return ANSWER


@assistant
async def async_quitter(run: RunContext, input: Any) -> None:
    """Call sys.exit() in a coroutine."""
    with present(run):
        await asyncio.sleep(0)
        sys.exit(3)
