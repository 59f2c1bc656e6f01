"""Whether the client of a request can still be answered: as long as the request is served, and no longer."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Self


class Presence:
    """The client of one request, which the block serves. To be used in the event loop that does.

    When the client goes, the server's framework ends the block.
    """

    __slots__ = ("_is_over", "_then", "_token", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._is_over = False
        self._then: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self._token = _presence.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _presence.reset(self._token)
        self.end()

    def when_over(self, then: Callable[[], None]) -> None:
        """Call this when the request has ended, by its answer or because its client has gone; at once if it has."""
        if self._is_over:
            then()
        else:
            self._then.append(then)

    def end(self) -> None:
        """Nothing that is answered now will reach the client."""
        self._is_over = True
        while self._then:
            self._then.pop()()


_presence: ContextVar[Presence | None] = ContextVar("runs_presence", default=None)


def current_presence() -> Presence | None:
    """The client of the request that is served here; None: nobody watches over it."""
    return _presence.get()
