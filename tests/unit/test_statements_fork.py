"""Statements are put together lazily, also in the children that a worker forks while its own threads do the same."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runs.models import Run
from runs.statements import Select
from tests.support.ledger import wait_until


@contextmanager
def being_put_together() -> Iterator[None]:
    """In this block another thread is in the middle of a statement."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        @property
        def _meta(self) -> Any:
            begun.set()
            go_on.wait()
            return Run._meta

    slow: Any = Slow()
    thread = threading.Thread(target=lambda: Select(slow, "")().sql)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        go_on.set()
        thread.join()


def has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def test_a_child_that_is_forked_meanwhile_puts_its_own_together() -> None:
    with being_put_together():
        pid = os.fork()
        if pid == 0:
            try:
                Select(Run, "WHERE id = %s")(1)
            finally:
                os._exit(0)
        try:
            assert wait_until(lambda: has_ended(pid), "the child to end", 5.0)
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
