"""Those that leave something behind which goes on without them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.ignoring import ignore_interruptions
from tests.support.assistants.presence import ANSWER, FOR_EVER, present, wait_at_gate
from tests.support.ledger import gate_is_open, note


@assistant
def littering(run: RunContext, input: Any) -> dict[str, int]:
    """Leave a thread behind that no interruption ends; return when the test opens the gate in the input."""
    threading.Thread(target=ignore_interruptions, args=(run,)).start()
    with present(run):
        wait_at_gate(run, input["gate"])
    return ANSWER


@assistant
async def clinging(run: RunContext, input: Any) -> dict[str, int]:
    """Leave a task behind that swallows its cancellation; return when the test opens the gate in the input."""

    async def cling() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
            note(run.id, run.attempt, "beat")

    with present(run):
        task = asyncio.create_task(cling(), name="clinging")
        while not gate_is_open(input["gate"]) and not task.done():
            await asyncio.sleep(0.01)
    return ANSWER


_kept: list[Any] = []


@assistant
async def tidy(run: RunContext, input: Any) -> dict[str, int]:
    """Leave a task behind that cleans up for the number of seconds in the input, and an endless generator."""

    async def clean_up() -> None:
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            note(run.id, run.attempt, "cleaning")
            await asyncio.sleep(input["seconds"])
            note(run.id, run.attempt, "cleaned")

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            note(run.id, run.attempt, "closed")

    with present(run):
        _kept[:] = [asyncio.create_task(clean_up()), numbers()]
        await anext(_kept[1])
        await asyncio.sleep(0)
    return ANSWER


@assistant
async def offloaded(run: RunContext, input: Any) -> dict[str, int]:
    """Leave a thread of the loop's pool behind that no interruption ends; return when the test opens the gate."""
    with present(run):
        thread = asyncio.get_running_loop().run_in_executor(None, ignore_interruptions, run)
        while not gate_is_open(input["gate"]) and not thread.done():
            await asyncio.sleep(0.01)
    return ANSWER
