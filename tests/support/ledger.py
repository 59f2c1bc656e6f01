"""The side-effect ledger: what test assistants really did, and when, whatever the rows say.

A directory with an append-only file of JSON lines for each run; and gates, at which assistants wait for the test.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

#: Names the directory to every process.
VARIABLE = "RUNYARD_TEST_LEDGER"
PATIENCE_SECONDS = 20.0
BEAT_SECONDS = 0.01
#: Between two looks of somebody who has waited for a second.
LONG_PAUSE_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One line: this process did this for this attempt of this run."""

    at: float
    pid: int
    attempt: int
    event: str
    what: dict[str, Any]

    @property
    def time(self) -> datetime:
        """When; by the clock of this machine, which is the test database's, too."""
        return datetime.fromtimestamp(self.at, tz=UTC)


def note(run: UUID | str, attempt: int, event: str, **what: Any) -> None:
    """Append an entry; one short write, so writers never mix."""
    entry = {"at": time.time(), "pid": os.getpid(), "attempt": attempt, "event": event, "what": what}
    ledger = os.open(_file(f"{run}.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, json.dumps(entry).encode() + b"\n")
    finally:
        os.close(ledger)


def beat(run: UUID | str, attempt: int) -> None:
    """A sign of life every 10 ms: what must stop before the run is settled."""
    note(run, attempt, "beat")
    time.sleep(BEAT_SECONDS)


def entries(run: UUID | str, event: str | None = None) -> list[Entry]:
    """What was done for the run, in order."""
    file = _file(f"{run}.jsonl")
    lines = file.read_text().splitlines() if file.exists() else []
    found = [Entry(**json.loads(line)) for line in lines]
    return [entry for entry in found if event in (None, entry.event)]


def events(run: UUID | str) -> list[str]:
    """The names of what was done for the run, in order, without the beats."""
    return [entry.event for entry in entries(run) if entry.event != "beat"]


def wait_for_entry(
    run: UUID | str, event: str, *, attempt: int | None = None, seconds: float = PATIENCE_SECONDS
) -> Entry:
    """The first such entry, as soon as it is there."""

    def found() -> Entry | None:
        return next((entry for entry in entries(run, event) if attempt in (None, entry.attempt)), None)

    return wait_until(found, f"{event!r} of run {run} in the ledger", seconds)


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first true value of `condition()`; fail, naming what was waited for, after `seconds`."""
    began, pause = time.monotonic(), BEAT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < began + seconds, f"waited {seconds:g} s in vain for {what}"
        time.sleep(pause)
        if time.monotonic() > began + 1.0:  # what takes long is not asked for all the time: others need the processor
            pause = LONG_PAUSE_SECONDS
    return value


def wait_for_silence(run: UUID | str) -> None:
    """Return when nothing has been done for the run for as long as fifty beats take."""
    counts, changed_at = [0], [time.monotonic()]

    def is_silent() -> bool:
        counts.append(len(entries(run)))
        if counts[-1] != counts[-2]:
            changed_at.append(time.monotonic())
        return len(counts) > 2 and time.monotonic() - changed_at[-1] > 50 * BEAT_SECONDS

    wait_until(is_silent, f"run {run} to fall silent")


def open_gate(name: object) -> None:
    """Let whoever waits at this gate pass, in any process, now and later."""
    _file(f"{name}.gate").touch()


def gate_is_open(name: object) -> bool:
    """Whether the gate has been opened."""
    return _file(f"{name}.gate").exists()


def _file(name: str) -> Path:
    return Path(os.environ[VARIABLE], name)
