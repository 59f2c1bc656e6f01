"""Assistants that emit: what a reader of their stream must have seen can be told from their input."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants import present, wait_at_gate


@assistant
def emitter(run: RunContext, input: dict[str, Any]) -> dict[str, int]:
    """Emit the numbers below `count`, `burst` at a time with `pause` seconds between; with `gate`, wait there first."""
    with present(run):
        if input.get("gate"):
            wait_at_gate(run, run.id)
        for number in range(input["count"]):
            run.emit(number)
            if number % input.get("burst", 10) == 0:
                time.sleep(input.get("pause", 0.005))
        if input.get("last_gate"):
            wait_at_gate(run, f"{run.id}-last")
    return {"count": input["count"]}


@assistant
async def async_emitter(run: RunContext, input: dict[str, Any]) -> dict[str, int]:
    """Emit the numbers below `count`, awaiting between them."""
    for number in range(input["count"]):
        run.emit(number)
        await asyncio.sleep(input.get("pause", 0.001))
    return {"count": input["count"]}


@assistant
def pages(run: RunContext, input: dict[str, Any]) -> Iterator[dict[str, int]]:
    """Emit, then take a step, `count` times; with `gate`, before each step wait for the gate "<run id>-<number>"."""
    with present(run):
        for number in range(input["count"]):
            if input.get("gate"):
                wait_at_gate(run, f"{run.id}-{number}")
            run.emit({"page": number})
            yield {"page": number}


@assistant
def failing(run: RunContext, input: Any) -> None:
    """Emit once and fail."""
    run.emit("last words")
    raise ValueError("kaput")


ASSISTANTS = {name: f"{__name__}:{name}" for name in ("emitter", "async_emitter", "pages", "failing")}
