"""The executor's own database connection, apart from the assistant's.

An interruption may hit the assistant in the middle of a query, or of entering or leaving a transaction, and leave its
connection in any state; an assistant may have a transaction open around a `yield`. Neither may touch what the executor
writes, nor outlive the attempt.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from asgiref.sync import SyncToAsync
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

#: A connection that was silent for so long may have died without a word.
SILENT_SECONDS = 1.0


class _Own(threading.local):
    """The executor's connection, one for each of its threads; a forked child makes its own."""

    wrapper: BaseDatabaseWrapper | None = None
    #: When the database has last answered.
    heard_at = float("-inf")


_own = _Own()


def _forget() -> None:
    _own.wrapper = None


os.register_at_fork(after_in_child=_forget)


@contextmanager
def executors_connection() -> Iterator[BaseDatabaseWrapper]:
    """In this block `connection` is the executor's; only the main thread of a pool child, or its scribe, may enter."""
    if _own.wrapper is None:
        _own.wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
    theirs = _assistants_connection()
    connections[DEFAULT_DB_ALIAS] = _own.wrapper
    try:
        yield _own.wrapper
    finally:
        if theirs is None:
            del connections[DEFAULT_DB_ALIAS]
        else:
            connections[DEFAULT_DB_ALIAS] = theirs


def _assistants_connection() -> BaseDatabaseWrapper | None:
    """None if it has used none yet: one that is made for nobody to use costs every attempt several times."""
    used = connections.all(initialized_only=True)
    return next((wrapper for wrapper in used if wrapper.alias == DEFAULT_DB_ALIAS), None)


def check_executors_connection() -> None:
    """Close the executor's connection if it has died since it was used.

    A server that ends a session says so, or its kernel does: there is something to read then. Who has not heard of it
    for a while asks, as it may have gone without a word.
    """
    own = _own.wrapper
    if own is None or own.connection is None or not _may_have_died(own.connection):
        return
    if own.is_usable():
        _own.heard_at = time.monotonic()
    else:
        own.close()


def _may_have_died(connection: Any) -> bool:
    if connection.closed or time.monotonic() - _own.heard_at > SILENT_SECONDS:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _AsyncThread(ThreadPoolExecutor):
    """The thread on which asgiref lets async code use the ORM; it knows whether anybody has used it."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self.is_used = False
        super().submit(int).result()  # its thread has begun: no attempt seems to have left it

    def submit(self, *call: Any, **named: Any) -> "Future[Any]":
        """Note it first: what is noted too often is looked after once too often."""
        self.is_used = True
        return super().submit(*call, **named)


def begin_async_thread() -> None:
    """Begin the thread on which asgiref lets async code use the ORM, so that no attempt seems to have left it."""
    SyncToAsync.single_thread_executor = _AsyncThread()


def forget_async_connections(seconds: float) -> bool:
    """Drop the connections of that thread; False if the assistant still keeps it busy after this time.

    Most attempts have not used it: then there are none, and its thread is not woken.
    """
    thread = SyncToAsync.single_thread_executor
    if isinstance(thread, _AsyncThread):
        if not thread.is_used:
            return True
        thread.is_used = False  # before it is done: whoever uses it meanwhile is looked after the next time
    try:
        ThreadPoolExecutor.submit(thread, forget_assistants_connections).result(seconds)
    except TimeoutError:
        if isinstance(thread, _AsyncThread):
            thread.is_used = True
        return False
    return True


def forget_assistants_connections() -> None:
    """Drop whatever the assistant has left of its connections, in whatever state; the next attempt gets new ones."""
    for wrapper in connections.all(initialized_only=True):
        with contextlib.suppress(Exception):  # it may be in the middle of anything; closing the socket is what counts
            if wrapper.connection is not None:
                wrapper.connection.close()
        del connections[wrapper.alias]
