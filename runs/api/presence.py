"""Whether the client of a request can still be answered: as long as the request is served, and no longer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Presence:
    """The client of one request. To be used in the event loop that serves it."""

    def __init__(self) -> None:
        self._is_over = False
        self._then: list[Callable[[], None]] = []

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


@contextmanager
def presence() -> Iterator[None]:
    """The block serves a request: when its client goes, the server's framework ends it."""
    served = Presence()
    token = _presence.set(served)
    try:
        yield
    finally:
        _presence.reset(token)
        served.end()
