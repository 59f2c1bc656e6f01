"""What a transaction has yet to send: statements whose answers nobody waits for."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from runs.prepared import Statement

Rows = Sequence[Sequence[Any]]
Then = Callable[[Sequence[Rows]], None]


class Unsent:
    """Statements in the order in which they are to be executed, and who is to see what they return."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self._readers: list[tuple[slice, Then]] = []

    def add(self, statements: Sequence[Statement], then: Then | None) -> None:
        """Behind what there is."""
        first = len(self.statements)
        self.statements.extend(statements)
        if then is not None:
            self._readers.append((slice(first, len(self.statements)), then))

    def show(self, rows: Sequence[Rows]) -> None:
        """The rows of each statement."""
        for part, then in self._readers:
            then(rows[part])


def begin(own: BaseDatabaseWrapper) -> None:
    """From now on statements may wait."""
    own.runs_unsent = Unsent()  # type: ignore[attr-defined]


def waiting(own: BaseDatabaseWrapper) -> Unsent | None:
    """What waits, to be added to; None: nothing may."""
    found: Unsent | None = getattr(own, "runs_unsent", None)
    return found


def take(own: BaseDatabaseWrapper) -> Unsent:
    """What waits, to be sent now."""
    found = waiting(own)
    if found is None or not found.statements:
        return _NOTHING
    begin(own)
    return found


def end(own: BaseDatabaseWrapper) -> None:
    """Statements wait no more; what has not been sent never is."""
    own.runs_unsent = None  # type: ignore[attr-defined]


_NOTHING = Unsent()
