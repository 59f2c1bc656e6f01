"""What test assistants share: how they say in the ledger that they are there, and how they spend their time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from runs.assistants import RunContext
from tests.support.ledger import beat, gate_is_open, note

ANSWER = {"answer": 42}
#: Longer than any test lasts.
FOR_EVER = 3600.0


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


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than an entry that its parent has not removed yet."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
