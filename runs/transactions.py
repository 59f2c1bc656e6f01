"""Transactions whose last statements travel with their COMMIT.

What changes a row and is not asked for its answer need not be waited for: it goes with what is asked next, or with
COMMIT, in the order in which it was given. So a transaction is two round trips, the lock and the rest, however many
rows it changes. What it refuses is raised there, and it is rolled back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import get_connection

from runs import unsent
from runs.batches import commit, execute
from runs.prepared import Statement
from runs.unsent import Then

#: Classes of what is said of a connection that ends; a server that is stopped may have committed before.
_LOST = ("08", "57P")


@contextmanager
def atomic() -> Iterator[None]:
    """As Django's, the outermost; within, `later` may wait."""
    own: Any = get_connection()
    with transaction.atomic(durable=True), own.execute_wrapper(_after_what_waits):
        unsent.begin(own)
        try:
            yield
            _send_the_rest(own)
        finally:
            unsent.end(own)


def later(*statements: Statement, then: Then | None = None) -> None:
    """Have these executed before whatever the transaction executes next, at the latest with its COMMIT.

    `then` is called with the rows of each. Outside of `atomic` they are executed at once.
    """
    waiting = unsent.waiting(get_connection())
    if waiting is not None:
        waiting.add(statements, then)
        return
    rows = execute(*statements)
    if then is not None:
        then(rows)


def was_refused(error: Exception) -> bool:
    """Whether the database has answered, and has not committed; else its answer may be what was lost."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state is not None and not state.startswith(_LOST)


def _after_what_waits(send: Any, *given: Any) -> Any:
    """A statement of the ORM's, or of a savepoint, sees what was written before it."""
    execute()
    return send(*given)


def _send_the_rest(own: BaseDatabaseWrapper) -> None:
    is_outermost = len(own.atomic_blocks) == 1  # else it is in a test's, which rolls it back
    if is_outermost and not own.needs_rollback:
        commit()
    elif not own.needs_rollback:
        execute()
