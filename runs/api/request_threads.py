"""The threads in which requests are served: lent to a request until Django has answered it, then to the next.

Django begins a thread for each request, and ends it with the request.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

#: More than these are not kept for later.
MOST_IDLE = 32
_idle: list[ThreadPoolExecutor] = []
_lock = threading.Lock()


class RequestThread(Executor):
    """What asgiref takes for the one thread of a request."""

    def __init__(self) -> None:
        #: Taken by whoever gives it back: the thread itself or, when its client has left, the event loop.
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have it done in the thread of this request, which gets one if it has none."""
        with _lock:
            self._thread = self._thread or _take()
            return self._thread.submit(fn, *args, **kwargs)

    def give_back(self) -> None:
        """Lend the thread to others as soon as it has done what it was given; the next call gets another."""
        if (thread := self._take_out()) is not None:
            thread.submit(_rest, thread)

    def leave(self) -> None:
        """The same, by the thread itself at the end of what it does."""
        if (thread := self._take_out()) is not None:
            _rest(thread)

    def _take_out(self) -> ThreadPoolExecutor | None:
        with _lock:
            thread, self._thread = self._thread, None
            return thread


_serving: ContextVar[RequestThread] = ContextVar("runs_request_thread")


class request_thread:
    """Within, thread-sensitive calls go to one thread, as Django asks; whoever has opened it has no other request."""

    def __init__(self) -> None:
        self._thread = RequestThread()
        self._context = ThreadSensitiveContext(executor=self._thread)

    async def __aenter__(self) -> RequestThread:
        self._token = _serving.set(self._thread)
        await self._context.__aenter__()  # type: ignore[no-untyped-call]
        return self._thread

    async def __aexit__(self, *why: Any) -> None:
        try:
            await self._context.__aexit__(*why)  # type: ignore[no-untyped-call]
        finally:
            _serving.reset(self._token)
            self._thread.give_back()


def serving_thread() -> RequestThread | None:
    """That of the request which is served here."""
    return _serving.get(None)


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
