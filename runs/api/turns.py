"""Whose turn it is: a web process serves as many requests at a time as it has connections to the database."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

from django.core.exceptions import RequestAborted

#: Whoever has waited longer goes on, and is told by its view that there is no connection.
PATIENCE_SECONDS = 30.0


class _Turn:
    """One request's, until its view is over or gives it back."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free, self._loop = free, asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_held, self._has_begun = True, False

    def begin(self) -> None:
        """The view begins, and the turn is its own. Raises RequestAborted if the client left before that."""
        with self._lock:
            if not self._is_held:
                raise RequestAborted
            self._has_begun = True

    def give_back(self) -> None:
        """From any thread, and as often as one likes."""
        with self._lock:
            self._release()

    def give_back_unless_begun(self) -> None:
        """The client has been answered, or has left: a view that has begun goes on all the same, in its thread."""
        with self._lock:
            if not self._has_begun:
                self._release()

    def _release(self) -> None:
        if self._is_held:
            self._is_held = False
            with suppress(RuntimeError):  # the loop is closed, and nobody waits for a turn
                self._loop.call_soon_threadsafe(self._free.release)


_turn: ContextVar[_Turn | None] = ContextVar("runs_turn", default=None)


class Turns:
    """So many at a time; the others wait in the event loop, in the order in which they came."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """The block has its turn; if a view begins in it, in `view_of_turn`, then until that view is over."""
        if not await self._has_come():
            yield
            return
        turn = _Turn(self._free)
        token = _turn.set(turn)
        try:
            yield
        finally:
            _turn.reset(token)
            turn.give_back_unless_begun()

    async def _has_come(self) -> bool:
        """Wait for a turn, not for ever; most requests find one that is free."""
        if not self._free.locked():
            return await self._free.acquire()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._free.acquire()
        except TimeoutError:
            return False


@contextmanager
def view_of_turn() -> Iterator[None]:
    """The block is the view whose turn it is; for the thread that executes it.

    A client that leaves ends the wait for its view and not the view, which keeps its connection, and so its turn.
    Raises RequestAborted if the client left before the view could begin.
    """
    if (turn := _turn.get()) is None:
        yield
        return
    turn.begin()
    try:
        yield
    finally:
        turn.give_back()


def give_back_turn() -> None:
    """Let the next request begin; for a view that waits for something else than the database."""
    if (turn := _turn.get()) is not None:
        turn.give_back()
