"""Threads that act at the same moment, each with its own connection, and rivals put exactly into a window.

A race that is only likely proves little: a barrier makes it likely, `rival_at` makes it certain.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from unittest import mock

from django.db import connection, connections

T = TypeVar("T")
Race = Callable[[Sequence[Callable[[], Any]]], list[Any]]

PATIENCE_SECONDS = 30.0


@contextmanager
def racers(count: int) -> Iterator[Race]:
    """Hold `count` threads with open connections; call what is yielded with that many calls to let them race.

    Returns the results in the order of the calls; an exception is a result, too.
    """
    barrier = threading.Barrier(count, timeout=PATIENCE_SECONDS)

    def run(call: Callable[[], Any]) -> Any:
        connection.ensure_connection()
        barrier.wait()
        try:
            return call()
        except BaseException as error:  # whatever it is, it is this caller's outcome
            return error

    def close() -> None:
        barrier.wait()
        connections.close_all()

    with ThreadPoolExecutor(count, thread_name_prefix="racer") as pool:

        def race(calls: Sequence[Callable[[], Any]]) -> list[Any]:
            assert len(calls) == count
            return [future.result(PATIENCE_SECONDS) for future in [pool.submit(run, call) for call in calls]]

        try:
            yield race
        finally:
            for future in [pool.submit(close) for _ in range(count)]:
                future.result(PATIENCE_SECONDS)


def race(*calls: Callable[[], Any]) -> list[Any]:
    """Let the calls race once; their results in order, exceptions included."""
    with racers(len(calls)) as run:
        return run(calls)


class Rival(Generic[T]):
    """A call in a thread and a connection of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._outcome: T | BaseException | None = None
        self._backend: int | None = None
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rival", daemon=True)

    def start(self) -> "Rival[T]":
        """Begin; returns when the rival is connected."""
        self._thread.start()
        assert self._connected.wait(PATIENCE_SECONDS)
        return self

    def wait_until_blocked_or_done(self) -> "Rival[T]":
        """Return when the rival waits for a lock that somebody holds, or has finished."""
        wait_for(lambda: not self._thread.is_alive() or is_blocked(self._backend))
        return self

    @property
    def done(self) -> bool:
        """Whether the call has returned."""
        return not self._thread.is_alive()

    def outcome(self) -> T | BaseException | None:
        """What the call returned or raised; waits for it."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the rival is still blocked"
        return self._outcome

    def _run(self) -> None:
        try:
            connection.ensure_connection()
            self._backend = connection.connection.info.backend_pid
            self._connected.set()
            self._outcome = self._call()
        except BaseException as error:  # whatever it is, it is the rival's outcome
            self._outcome = error
        finally:
            self._connected.set()
            connections.close_all()


def is_blocked(backend: int | None) -> bool:
    """Whether this PostgreSQL backend waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [backend])
        return bool(cursor.fetchone()[0])


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.002)


@contextmanager
def rival_before(target: str, call: Callable[[], T]) -> Iterator[Rival[T]]:
    """Run `call` in a rival right before the first use of `target` ("package.module.function").

    The user of `target` goes on when the rival has finished or waits for a lock. Leaving the block waits for it.
    """
    rival = Rival(call)
    with _once(target, lambda: rival.start().wait_until_blocked_or_done(), before=True):
        yield rival
    rival.outcome()


@contextmanager
def rival_after(target: str, call: Callable[[], T]) -> Iterator[Rival[T]]:
    """Like `rival_before`, right after the first use of `target` has returned."""
    rival = Rival(call)
    with _once(target, lambda: rival.start().wait_until_blocked_or_done(), before=False):
        yield rival
    rival.outcome()


@contextmanager
def _once(target: str, act: Callable[[], object], *, before: bool) -> Iterator[None]:
    """Wrap `target` so that its first use acts before or after; the rival itself may use it freely."""
    module, _, name = target.rpartition(".")
    original = getattr(__import__(module, fromlist=[name]), name)
    used = threading.Event()

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        first = not used.is_set()
        used.set()
        if first and before:
            act()
        result = original(*args, **kwargs)
        if first and not before:
            act()
        return result

    with mock.patch(target, wrapped):
        yield
    assert used.is_set(), f"{target} was never used: the rival had no window"
