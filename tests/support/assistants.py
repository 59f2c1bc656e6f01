"""Test assistants: every way in which real ones spend their time, and misbehave. All write the ledger.

Those that spend time do so until they are interrupted; nobody lets one of them run to its end.
"""

import asyncio
import hashlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from runs.assistants import RunContext, assistant
from tests.support.ledger import beat, entries, gate_is_open, note

ANSWER = {"answer": 42}
#: Longer than any test lasts.
FOR_EVER = 3600.0


def paths() -> dict[str, str]:
    """All of this module and of sharing.py, as RUNS["ASSISTANTS"]."""
    from tests.support import sharing

    modules = ((__name__, ASSISTANTS), (sharing.__name__, sharing.ASSISTANTS))
    return {name: f"{module}:{name}" for module, names in modules for name in names}


def registrations() -> str:
    """The same, as RUNYARD_ASSISTANTS."""
    return ",".join(f"{name}={path}" for name, path in paths().items())


@contextmanager
def present(run: RunContext, **what: Any) -> Iterator[None]:
    """Note when the assistant's code begins and when it has left, however it leaves."""
    note(run.id, run.attempt, "start", **what)
    try:
        yield
    finally:
        note(run.id, run.attempt, "left", **what)


def beat_for_ever(run: RunContext) -> None:
    """What a busy assistant looks like."""
    while True:
        beat(run.id, run.attempt)


def wait_at_gate(run: RunContext, name: object) -> None:
    """Beat until the test opens the gate."""
    while not gate_is_open(name):
        beat(run.id, run.attempt)


# Those that end


@assistant
def neighbour(run: RunContext, input: Any) -> dict[str, int]:
    """Work until the test opens the gate named like the run, then answer."""
    with present(run):
        wait_at_gate(run, run.id)
    return ANSWER


@assistant
def prompt(run: RunContext, input: Any) -> dict[str, int]:
    """Answer at once, noting whether the process of the run named in the input is alive."""
    predecessor = (input or {}).get("after")
    alive = [pid for pid in {entry.pid for entry in entries(predecessor)} if is_alive(pid)] if predecessor else []
    with present(run, alive=alive):
        return ANSWER


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than an entry that its parent has not removed yet."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@assistant
def napper(run: RunContext, input: Any) -> dict[str, int]:
    """Sleep for the number of seconds in the input, then answer."""
    with present(run):
        time.sleep(input["seconds"])
    return ANSWER


@assistant
def talker(run: RunContext, input: Any) -> dict[str, int]:
    """Log and print, also from a thread."""
    say = logging.getLogger("assistants").warning
    thread = threading.Thread(target=say, args=("said by its thread",))
    with present(run):
        say("said by the assistant")
        thread.start()
        thread.join()
        print("printed")  # noqa: T201
    return ANSWER


@assistant
def quitter(run: RunContext, input: Any) -> None:
    """Call sys.exit() although nobody asked for it."""
    with present(run):
        sys.exit(3)


# Those that go on until they are interrupted, and heed it


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


# Those that do not heed it


@assistant
def c_call(run: RunContext, input: Any) -> None:
    """One call into C that does not return to Python for minutes."""
    with present(run):
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2_000_000_000)


@assistant
def stubborn(run: RunContext, input: Any) -> None:
    """Ignore every interruption, until the test opens the gate named like the run."""
    with present(run):
        ignore_interruptions(run)


def ignore_interruptions(run: RunContext) -> None:
    """Two loops: an interruption that comes between two rounds of the inner one is ignored, too."""
    while not gate_is_open(run.id):
        try:
            while not gate_is_open(run.id):
                try:
                    wait_at_gate(run, run.id)
                except BaseException:
                    note(run.id, run.attempt, "ignored")
        except BaseException:
            note(run.id, run.attempt, "ignored")


@assistant
def littering(run: RunContext, input: Any) -> dict[str, int]:
    """Leave a thread behind that no interruption ends; return when the test opens the gate in the input."""
    threading.Thread(target=ignore_interruptions, args=(run,)).start()
    with present(run):
        wait_at_gate(run, input["gate"])
    return ANSWER


# Those that use the event loop, threads and processes


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


# Those that use the database themselves


@assistant
def querying(run: RunContext, input: Any) -> None:
    """One transaction after the other: an interruption hits a query, or the entering or leaving of a transaction."""
    from django.db import connection, transaction

    with present(run):
        while True:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.001)")


@assistant
def holding(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """A transaction of its own is open around the step, and never ends."""
    from django.db import connection, transaction

    with present(run):
        transaction.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        yield ANSWER
        wait_at_gate(run, run.id)


@assistant
def unstorable(run: RunContext, input: Any) -> dict[str, int]:
    """Reports what the test has the database refuse."""
    with present(run):
        run.model_name = "unstorable"
    return ANSWER


# Those that show what was done twice


@assistant
def payer(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """Do something outside, then take a durable step, three times; beat so long in between (input: seconds)."""
    pause = (input or {}).get("seconds", 0.0)
    with present(run):
        for number in range(3):
            note(run.id, run.attempt, f"paid {number}")
            run.emit({"paid": number})
            until = time.monotonic() + pause
            while time.monotonic() < until:
                beat(run.id, run.attempt)
            yield {f"paid {number}": run.attempt}


@assistant
def busybody(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """Emit and take steps all the time, until the test opens the gate named like the run."""
    with present(run):
        while not gate_is_open(run.id):
            for _ in range(5):
                run.emit({"at": time.time()})
                beat(run.id, run.attempt)
            yield {"attempt": run.attempt}


# Those that die


@assistant
def killed_once(run: RunContext, input: Any) -> dict[str, int]:
    """The first attempt is killed, as by the system when memory is short."""
    with present(run):
        if run.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return ANSWER


@assistant
def poison(run: RunContext, input: Any) -> None:
    """Every attempt is killed."""
    with present(run):
        os.kill(os.getpid(), signal.SIGKILL)


ASSISTANTS = (
    "neighbour",
    "prompt",
    "talker",
    "napper",
    "quitter",
    "sync_code",
    "async_code",
    "thread_code",
    "exiting",
    "stepper",
    "async_stepper",
    "careful",
    "careful_thread",
    "async_careful",
    "async_waiting_careful",
    "emitter",
    "c_call",
    "stubborn",
    "littering",
    "yielding",
    "offloading",
    "forking",
    "querying",
    "holding",
    "unstorable",
    "payer",
    "busybody",
    "killed_once",
    "poison",
    "self_ending",
    "straying",
)
