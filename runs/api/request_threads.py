"""The threads in which requests are served: lent to a request while there is something to do, then to the next.

Django begins a thread for each request and ends it with the answer, which for a stream may be hours later.
"""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

#: More than these are not kept for later.
MOST_IDLE = 32
_idle: list[ThreadPoolExecutor] = []


class RequestThread(Executor):
    """What asgiref takes for the one thread of a request."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have it done in the thread of this request, which gets one if it has none."""
        if self._thread is None:
            self._thread = _take()
        return self._thread.submit(fn, *args, **kwargs)

    def give_back(self) -> None:
        """Lend the thread to others as soon as it has done what it was given; the next call gets another."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(_rest, thread)


_serving: ContextVar[RequestThread] = ContextVar("runs_request_thread")


@asynccontextmanager
async def request_thread() -> AsyncIterator[None]:
    """Within, thread-sensitive calls go to one thread, as Django asks; whoever has opened it has no other request."""
    thread = RequestThread()
    token = _serving.set(thread)
    try:
        async with ThreadSensitiveContext(executor=thread):
            yield
    finally:
        _serving.reset(token)
        thread.give_back()


def give_back_thread() -> None:
    """Give back the thread in which this request's view has run; for an answer of which the rest is awaited."""
    if (thread := _serving.get(None)) is not None:
        thread.give_back()


def _take() -> ThreadPoolExecutor:
    try:
        return _idle.pop()
    except IndexError:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")


def _rest(thread: ThreadPoolExecutor) -> None:
    """In the thread itself, after all else it was given. A connection left open would keep its place in the pool."""
    connections.close_all()
    if len(_idle) < MOST_IDLE:
        _idle.append(thread)
    else:
        thread.shutdown(wait=False)
