"""What was found a moment ago: so many things at most, each for so long."""

import time
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """By name. For all threads of a process."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._found: dict[str, tuple[float, T]] = {}

    def put(self, name: str, value: T, until: float) -> None:
        """Keep it until then, by the monotonic clock; of too many the one that came first goes."""
        with self._lock:
            self._found.pop(name, None)
            self._found[name] = until, value
            if len(self._found) > self._most:
                del self._found[next(iter(self._found))]

    def get(self, name: str) -> T | None:
        """What was kept, unless its time is over."""
        until, value = self._found.get(name, (0.0, None))
        return value if time.monotonic() < until else None

    def drop(self, name: str) -> None:
        """Keep it no longer."""
        with self._lock:
            self._found.pop(name, None)
