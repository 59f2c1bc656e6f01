"""The lock of the files in which processes count: nobody keeps it for ever, and who counts does not wait for it."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pytest_django import Settings

from runs import metrics
from runs.metrics import store
from runs.state_dir import state_directory


@pytest.fixture(autouse=True)
def lock(settings: Settings, tmp_path: Path) -> Path:
    settings.RUNS = {**settings.RUNS, "STATE_DIR": str(tmp_path / "state")}
    store.begin_anew()
    return state_directory(store.DIRECTORY) / "lock"


@contextmanager
def living_child() -> Iterator[None]:
    """In this block there is a forked child, which does nothing."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_child_that_was_forked_while_it_was_held_does_not_keep_it(lock: Path) -> None:
    """A worker replaces a child that has died, and counts the first death of its life, at the same moment."""
    with ExitStack() as stack:
        with store._locked(lock.parent):
            stack.enter_context(living_child())
        with lock.open("w") as another:
            fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_who_counts_does_not_wait_for_a_process_that_stands_still(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LONGEST_WAIT_SECONDS", 0.05)
    with lock.open("w") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        metrics.lock_timeouts.inc()

    [counted] = [family for family in store.read() if family.name == "runyard_lock_timeouts"]
    assert [sample.value for sample in counted.samples] == [1]
