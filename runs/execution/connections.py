"""The executor's own database connection, apart from the assistant's.

An interruption may hit the assistant in the middle of a query, or of entering or leaving a transaction, and leave its
connection in any state; an assistant may have a transaction open around a `yield`. Neither may touch what the executor
writes, nor outlive the attempt.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from asgiref.sync import SyncToAsync
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper


class _Own(threading.local):
    """The executor's connection, one for each of its threads; a forked child makes its own."""

    wrapper: BaseDatabaseWrapper | None = None


_own = _Own()


def _forget() -> None:
    _own.wrapper = None


os.register_at_fork(after_in_child=_forget)


@contextmanager
def executors_connection() -> Iterator[BaseDatabaseWrapper]:
    """In this block `connection` is the executor's; only the main thread of a pool child, or its scribe, may enter."""
    if _own.wrapper is None:
        _own.wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
    theirs = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = _own.wrapper
    try:
        yield _own.wrapper
    finally:
        connections[DEFAULT_DB_ALIAS] = theirs


def check_executors_connection() -> None:
    """Close the executor's connection if it has died since the last attempt."""
    with executors_connection() as own:
        if own.connection is not None and not own.is_usable():
            own.close()


def begin_async_thread() -> None:
    """Begin the thread on which asgiref lets async code use the ORM, so that no attempt seems to have left it."""
    SyncToAsync.single_thread_executor.submit(int).result()


def forget_async_connections(seconds: float) -> bool:
    """Drop the connections of that thread; False if the assistant still keeps it busy after this time."""
    try:
        SyncToAsync.single_thread_executor.submit(forget_assistants_connections).result(seconds)
    except TimeoutError:
        return False
    return True


def forget_assistants_connections() -> None:
    """Drop whatever the assistant has left of its connections, in whatever state; the next attempt gets new ones."""
    for wrapper in connections.all(initialized_only=True):
        with contextlib.suppress(Exception):  # it may be in the middle of anything; closing the socket is what counts
            if wrapper.connection is not None:
                wrapper.connection.close()
        del connections[wrapper.alias]
