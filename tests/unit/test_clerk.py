"""The thread that does the main process's database work."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError

from runs.execution import clerk as module
from runs.execution.clerk import Clerk

PATIENCE_SECONDS = 10.0


@pytest.fixture
def clerk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clerk]:
    """One at work."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    clerk = Clerk()
    clerk.start()
    yield clerk
    clerk.stop(PATIENCE_SECONDS)


def test_jobs_are_done_in_order(clerk: Clerk) -> None:
    """And all of them before it stops."""
    done: list[int] = []
    for number in range(10):
        clerk.submit(str(number), partial(done.append, number))
    clerk.stop(PATIENCE_SECONDS)
    assert done == list(range(10))


def test_job_is_repeated_while_the_database_is_away(clerk: Clerk) -> None:
    """Nothing that was observed is forgotten."""
    calls: list[int] = []

    def job() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise OperationalError

    clerk.submit("job", job)
    clerk.stop(PATIENCE_SECONDS)
    assert len(calls) == 3


@pytest.mark.parametrize("error", [IntegrityError, ValueError])
def test_job_that_cannot_succeed_does_not_stop_the_others(clerk: Clerk, error: type[Exception]) -> None:
    """It is logged, and given up."""
    calls: list[str] = []

    def job() -> None:
        calls.append("failed")
        raise error

    clerk.submit("job", job)
    clerk.submit("other", lambda: calls.append("other"))
    clerk.stop(PATIENCE_SECONDS)
    assert calls == ["failed", "other"]


def test_job_that_waits_already_is_not_added(clerk: Clerk) -> None:
    """And one that has been done is new again."""
    calls: list[str] = []
    release, done = threading.Event(), threading.Event()

    def wait() -> None:
        assert release.wait(PATIENCE_SECONDS)

    clerk.submit("first", wait)
    for _ in range(3):
        clerk.submit("same", lambda: calls.append("same"))
    clerk.submit("last", done.set)
    release.set()
    assert done.wait(PATIENCE_SECONDS)
    assert calls == ["same"]
    clerk.submit("same", lambda: calls.append("again"))
    clerk.stop(PATIENCE_SECONDS)
    assert calls == ["same", "again"]
