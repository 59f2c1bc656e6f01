"""Several statements in one message, with their values in them: from the BEGIN of their transaction to its COMMIT.

psycopg would send BEGIN alone, split the SQL anew at each call, and look up again how each value is written. What is
relied on below the documented surface of psycopg and Django is in tests/services/test_batches.py. Whoever watches
statements (`execute_wrapper`, the debug cursor) sees them with `%s` and values, and errors are Django's.
"""

from collections.abc import Generator, Sequence
from types import SimpleNamespace
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import get_connection
from django.utils.asyncio import async_unsafe
from psycopg import generators
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from runs import unsent
from runs.literals import Loading
from runs.prepared import Message, Prepared, Statement

SEPARATOR = ";\n"
Row = tuple[Any, ...]


def execute(*statements: Statement) -> list[list[Row]]:
    """Execute the statements in this order, behind what waits, in one round trip, and return the rows of each."""
    own: BaseDatabaseWrapper = get_connection()
    before = unsent.take(own)
    if not before.statements:
        return _send(own, statements) if statements else []
    rows = _send(own, (*before.statements, *statements))
    before.show(rows)
    return rows[len(before.statements) :]


def commit() -> None:
    """Execute what waits and end the transaction, in one round trip. Django's COMMIT finds none to end, then."""
    own: BaseDatabaseWrapper = get_connection()
    before = unsent.take(own)
    if before.statements:
        before.show(_send(own, before.statements, commits=True))


@async_unsafe
def _send(own: BaseDatabaseWrapper, statements: Sequence[Statement], *, commits: bool = False) -> list[list[Row]]:
    own.close_if_health_check_failed()
    own.ensure_connection()
    batch: Any = _Batch(own, statements, commits=commits)
    cursor = own.make_debug_cursor(batch) if own.queries_logged else own.make_cursor(batch)
    cursor.execute(batch.sql, batch.values)
    rows: list[list[Row]] = batch.rows
    return rows


class _Batch:
    """As much of a cursor as Django's wrappers of cursors need."""

    def __init__(self, own: BaseDatabaseWrapper, statements: Sequence[Statement], *, commits: bool) -> None:
        self._own, self._statements, self._commits = own, statements, commits
        self.sql = SEPARATOR.join([one.sql for one in statements])
        self.values = [value for one in statements for value in one.values]
        self.rows: list[list[Row]] = []

    @property
    def _query(self) -> SimpleNamespace:
        """What Django asks for when it logs queries: not EXECUTE and a name."""
        text = psycopg.ClientCursor(self._own.connection).mogrify(self.sql, self.values)
        return SimpleNamespace(query=text.encode())

    def execute(self, sql: str, values: Sequence[Any]) -> None:
        """Send it; what somebody on the way has changed is sent as it has become."""
        connection: psycopg.Connection[Any] = self._own.connection
        session = _session(connection)
        if sql != self.sql:
            message = Message([psycopg.ClientCursor(connection).mogrify(sql, values)])
        else:
            block = self._own.atomic_blocks[0] if self._own.in_atomic_block else None
            message = session.prepared.compose(self._statements, connection, block)
        results = session.prepared.learn(message, _exchange(connection, message.texts, commits=self._commits))
        self.rows = [session.loading.rows(result) for result in results]
        if message.prepares and self._statements[0].is_steady:
            session.prepared.hear(self.rows[0][0], connection)


class _Session:
    """What is known of a connection. It does not know the connection, which keeps it."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.loading, self.prepared = Loading(connection.adapters), Prepared()


def _session(connection: "psycopg.Connection[Any]") -> _Session:
    try:
        found: _Session = connection._runs_session  # type: ignore[attr-defined]
    except AttributeError:
        found = connection._runs_session = _Session(connection)  # type: ignore[attr-defined]
    return found


def _exchange(connection: "psycopg.Connection[Any]", texts: Sequence[str], *, commits: bool) -> list[PGresult]:
    """The results of what was sent, without those of BEGIN and COMMIT; the last may be an error."""
    with connection.lock:
        begin = _begin(connection)
        message = SEPARATOR.join([*begin, *texts, *(["COMMIT"] if commits else [])])
        results: list[PGresult] = connection.wait(_asked(connection.pgconn, message.encode()))
    if results[-1].status == ExecStatus.FATAL_ERROR:
        return results[len(begin) :] or results
    return results[len(begin) : len(results) - commits]


def _begin(connection: "psycopg.Connection[Any]") -> list[str]:
    """What psycopg would send first, alone, for a transaction that has not begun."""
    if connection.autocommit or connection.pgconn.transaction_status != TransactionStatus.IDLE:
        return []
    return [connection._get_tx_start_command().decode()]


def _asked(connection: PGconn, message: bytes) -> Generator[Any, Any, list[PGresult]]:
    connection.send_query(message)
    results: list[PGresult] = yield from generators.execute(connection)
    return results
