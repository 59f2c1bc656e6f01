"""Assistants that emit: what a reader of their stream must have seen can be told from their input."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runs.assistants import RunContext, assistant
from runs.streaming import log
from tests.support import assistants, factories
from tests.support.assistants import ignore_interruptions, present, wait_at_gate
from tests.support.ledger import note
from tests.support.server import ServerProcess
from tests.support.worker import WorkerProcess


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
        if input.get("dies_before_end"):
            die_before_end(run)
    return {"count": input["count"]}


def die_before_end(run: RunContext) -> None:
    """Have this process killed when it has committed the outcome and is about to mark the end of the stream."""

    def die(*_: object, **__: object) -> None:
        note(run.id, run.attempt, "dies before the end")
        os.kill(os.getpid(), signal.SIGKILL)

    log.append_end = die


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
def defiant(run: RunContext, input: Any) -> None:
    """Emit, ignore every interruption until the test opens the gate named like the run, and emit again."""
    with present(run):
        run.emit("before")
        ignore_interruptions(run)
        run.emit("after")


@assistant
def failing(run: RunContext, input: Any) -> None:
    """Emit once and fail."""
    run.emit("last words")
    raise ValueError("kaput")


ASSISTANTS = {name: f"{__name__}:{name}" for name in ("emitter", "async_emitter", "pages", "defiant", "failing")}


def web_process(directory: Path, *, pool_size: int = 4, **environment: str) -> ServerProcess:
    """A web process that knows the emitters."""
    names = {**factories.ASSISTANTS, **ASSISTANTS}
    known = ",".join(f"{name}={path}" for name, path in names.items())
    return ServerProcess(directory, pool_size=pool_size, RUNYARD_ASSISTANTS=known, **environment)


def worker_process(**options: Any) -> WorkerProcess:
    """A worker that knows the emitters; `runs` goes over settings.RUNS."""
    runs = {"ASSISTANTS": {**assistants.ASSISTANTS, **ASSISTANTS}, **options.pop("runs", {})}
    return WorkerProcess(runs=runs, **options)
