"""Those that go on until they are interrupted, and heed it."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import ANSWER, FOR_EVER, beat_for_ever, present, wait_at_gate
from tests.support.ledger import beat, gate_is_open, note


@assistant
def sync_code(run: RunContext, input: Any) -> None:
    """Plain Python."""
    with present(run):
        beat_for_ever(run)


@assistant
async def async_code(run: RunContext, input: Any) -> None:
    """A coroutine that awaits most of the time."""
    with present(run):
        while True:
            note(run.id, run.attempt, "beat")
            await asyncio.sleep(0.01)


@assistant
def thread_code(run: RunContext, input: Any) -> None:
    """Plain Python in a thread that the assistant waits for."""

    def work() -> None:
        with present(run, thread=True):
            beat_for_ever(run)

    thread = threading.Thread(target=work)
    with present(run):
        thread.start()
        thread.join()


@assistant
def exiting(run: RunContext, input: Any) -> None:
    """Call sys.exit() while being interrupted."""
    with present(run):
        try:
            beat_for_ever(run)
        finally:
            sys.exit(3)


@assistant
def stepper(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """Yield a durable step whenever the test opens the next gate, "<run id>-<number>"."""
    with present(run):
        for number in range(100):
            wait_at_gate(run, f"{run.id}-{number}")
            yield {"step": number}
            note(run.id, run.attempt, "stored", number=number)


@assistant
async def async_stepper(run: RunContext, input: Any) -> AsyncIterator[dict[str, int]]:
    """The same as an async generator."""
    with present(run):
        for number in range(100):
            while not gate_is_open(f"{run.id}-{number}"):
                note(run.id, run.attempt, "beat")
                await asyncio.sleep(0.01)
            yield {"step": number}
            note(run.id, run.attempt, "stored", number=number)


@assistant
def careful(run: RunContext, input: Any) -> None:
    """Clean up for the number of seconds in the input after an interruption."""
    with present(run):
        try:
            beat_for_ever(run)
        finally:
            note(run.id, run.attempt, "cleaning")
            time.sleep(input["seconds"])
            note(run.id, run.attempt, "cleaned")


@assistant
def careful_thread(run: RunContext, input: Any) -> None:
    """Clean up in a thread that the assistant waits for."""
    thread = threading.Thread(target=careful.function, args=(run, input))
    thread.start()
    while thread.is_alive():
        time.sleep(0.01)


@assistant
async def async_careful(run: RunContext, input: Any) -> None:
    """Clean up, awaiting, after an interruption that hits code which does not await."""
    with present(run):
        try:
            beat_for_ever(run)
        finally:
            note(run.id, run.attempt, "cleaning")
            await asyncio.sleep(input["seconds"])
            note(run.id, run.attempt, "cleaned")


@assistant
async def async_waiting_careful(run: RunContext, input: Any) -> None:
    """Clean up, awaiting, after an interruption that hits code which awaits."""
    with present(run):
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            note(run.id, run.attempt, "cleaning")
            await asyncio.sleep(input["seconds"])
            note(run.id, run.attempt, "cleaned")


@assistant
def emitter(run: RunContext, input: Any) -> dict[str, int]:
    """Emit all the time, until the test opens the gate named like the run."""
    with present(run):
        while not gate_is_open(run.id):
            run.emit({"at": time.time()})
            beat(run.id, run.attempt)
    return ANSWER
