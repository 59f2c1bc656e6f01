"""What is true of the tables at every moment, checked from the rows alone. Nothing here writes.

`rules` looks at the rows as they are, `histories` replays the run events, `schema` asks for the constraints themselves.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db import connection, transaction

from runs.models import Thread
from runs.services.invariants.histories import broken_histories
from runs.services.invariants.rules import broken_rules
from runs.services.invariants.schema import missing_constraints
from runs.services.invariants.violation import Violation

__all__ = ["Violation", "find_violations", "missing_constraints"]

BATCH = 200


def find_violations(thread_ids: Sequence[UUID] | None = None, *, batch: int = BATCH) -> Iterator[Violation]:
    """Yield what is wrong with these threads (None: with all), their runs, checkpoints and histories.

    Works on a live server: each batch of threads is read in one snapshot, in which every transaction is whole.
    """
    for threads in _batches(batch) if thread_ids is None else [thread_ids]:
        with _snapshot():
            found = [*broken_rules(threads), *broken_histories(threads)]
        yield from found


def _batches(size: int) -> Iterator[Sequence[UUID]]:
    """Threads by primary key, so that a table of any size is walked through once."""
    threads = Thread.objects.order_by("pk").values_list("pk", flat=True)
    batch = list(threads[:size])
    while batch:
        yield batch
        batch = list(threads.filter(pk__gt=batch[-1])[:size])


@contextmanager
def _snapshot() -> Iterator[None]:
    """One consistent view; within somebody's transaction theirs has to do."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
