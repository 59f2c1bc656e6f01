"""Whose turn it is: a web process serves as many requests at a time as it has connections to the database."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

#: Whoever has waited longer goes on, and is told by its view that there is no connection.
PATIENCE_SECONDS = 30.0


class _Turn:
    """One request's, until it is over or given back."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free, self._loop = free, asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_held = True

    def give_back(self) -> None:
        """From any thread, and as often as one likes."""
        with self._lock:
            was_held, self._is_held = self._is_held, False
        if was_held:
            self._loop.call_soon_threadsafe(self._free.release)


_turn: ContextVar[_Turn | None] = ContextVar("runs_turn", default=None)


class Turns:
    """So many at a time; the others wait in the event loop, in the order in which they came."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """The block has its turn."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            yield
            return
        turn = _Turn(self._free)
        token = _turn.set(turn)
        try:
            yield
        finally:
            _turn.reset(token)
            turn.give_back()


def give_back_turn() -> None:
    """Let the next request begin; for a view that waits for something else than the database."""
    if (turn := _turn.get()) is not None:
        turn.give_back()
