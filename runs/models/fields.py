"""What the tables share: ids, the database's clock, and the database's counter."""

from uuid import UUID

from django.db.models import BigIntegerField, DateTimeField, Func
from uuid_utils import compat


def new_id() -> UUID:
    """Return a UUIDv7: unique, and later ids sort after earlier ones."""
    return compat.uuid7()


def new_checkpoint_id() -> UUID:
    """Return a UUIDv6, the kind LangGraph gives its checkpoints."""
    return compat.uuid6()


class ClockTimestamp(Func):
    """The database's clock at the moment of the statement; `now()` would be the start of the transaction,
    which may lie before the row lock was granted."""

    function = "clock_timestamp"
    output_field = DateTimeField()


class StatementTimestamp(Func):
    """The database's clock when the statement began: an index can be searched by it, which by ClockTimestamp it cannot.

    For looking for what is old. What is decided is decided afterwards, under the lock, by the clock.
    """

    function = "statement_timestamp"
    output_field = DateTimeField()


class NextRunSequence(Func):
    """The next number of the sequence that orders runs; drawn under the thread's lock, so it orders a thread."""

    template = "nextval('runs_run_sequence')"
    output_field = BigIntegerField()
