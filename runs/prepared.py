"""Statements that PostgreSQL takes apart and plans once for a session.

PREPARE goes in the message that needs it, directly before the first EXECUTE. A plan is made for any value and kept
until the next ANALYZE: made while a table has two pages, it would read all of it. So a statement is prepared only where
`steady` holds, under which plans use indexes in a database of any size: in the transaction, or the message, that begins
with it. And what was prepared while there were few runs is prepared anew when there are many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from runs.conf import runs_settings
from runs.literals import inserted, literal, numbered

#: Transaction-local. By a bitmap what has ended since the last vacuum is found again and again.
STEADY = {"enable_seqscan": "off", "enable_bitmapscan": "off", "plan_cache_mode": "force_generic_plan"}
#: Bytes of the table of runs. Of a smaller one the planner may take any index for as good as the right one, and it is;
#: but what was chosen would be kept while the table grows.
GROWN = 1024 * 1024
_QUESTION = ", pg_backend_pid(), pg_relation_size('runs_run')"
#: Of one session. There are some fifty; whoever makes up more has them sent as they are.
MOST = 200
#: The statement does not exist, exists already, or its columns have changed: somebody else has been at the session.
_UNKNOWN = frozenset({"26000", "42P05", "0A000"})


class Statement(NamedTuple):
    """SQL and what its `%s` stand for."""

    sql: str
    values: Sequence[Any] = ()
    #: Sent often, and always found by an index.
    kept: bool = False
    #: Made by `steady`.
    is_steady: bool = False


def steady(settings: Mapping[str, str] | None = None) -> Statement:
    """With these settings until the end of the transaction, plans are the same in a database of any size.

    To be sent first.
    """
    calls = [f"set_config('{name}', '{value}', true)" for name, value in {**(settings or {}), **STEADY}.items()]
    return Statement(f"SELECT {', '.join(calls)}", kept=True, is_steady=True)


@dataclass(frozen=True)
class Message:
    """What is sent together."""

    texts: list[str] = field(default_factory=list)
    #: For each text the SQL and the name that it prepares; None: it is a statement.
    prepares: list[tuple[str, str] | None] = field(default_factory=list)

    def add(self, text: str, prepares: tuple[str, str] | None = None) -> None:
        """Behind what there is."""
        self.texts.append(text)
        self.prepares.append(prepares)


class Prepared:
    """What one session has prepared, as far as its answers say."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._seen: set[str] = set()
        #: No name is used twice: nobody has to know what became of one whose answer was lost.
        self._count = 0
        #: What the answers to `_QUESTION` have said: whether no pooler is between, and whether there are many runs.
        self._is_direct = self._has_grown = False
        #: The transaction in which `steady` holds.
        self._block: object = None

    def compose(self, statements: Sequence[Statement], connection: "psycopg.Connection[Any]", block: object) -> Message:
        """What to send for the statements, in the transaction of this block; None: in one of their own."""
        may = self._is_steady(statements[0], block) and runs_settings().PREPARED_STATEMENTS
        message = Message()
        for one in statements:
            asked = _QUESTION if one.is_steady and not self._has_grown else ""
            name = self._name(one.sql, message) if may and one.kept and not asked else None
            if name is None:
                message.add(inserted(one.sql, one.values, connection) + asked)
            else:
                values = ", ".join([literal(value, connection) for value in one.values])
                message.add(f"EXECUTE {name}({values})" if values else f"EXECUTE {name}")
        return message

    def _is_steady(self, first: Statement, block: object) -> bool:
        if first.is_steady:
            self._block = block
            return True
        return block is not None and block is self._block

    def _name(self, sql: str, message: Message) -> str | None:
        """None for what is sent for the first time: a session may be a short one."""
        if (known := self._names.get(sql)) is not None:
            return known
        if sql not in self._seen or not self._is_direct or len(self._names) >= MOST:
            self._seen.add(sql)
            return None
        self._count += 1
        name = f"{sql.split(maxsplit=1)[0].lower()}_{self._count}"
        message.add(f"PREPARE {name} AS {numbered(sql)}", (sql, name))
        return name

    def learn(self, message: Message, results: Sequence[PGresult]) -> list[PGresult]:
        """The results of the statements; the first that was refused is raised. PREPARE is not undone with the rest."""
        refused = results[-1].status == ExecStatus.FATAL_ERROR
        answered = list(zip_longest(results[:-1] if refused else results, message.prepares[: len(results) - refused]))
        self._names.update(prepared for _, prepared in answered if prepared is not None)
        if refused:
            error = error_from_result(results[-1])
            if error.sqlstate in _UNKNOWN:
                self._names.clear()
            raise error
        return [result for result, prepared in answered if prepared is None]

    def hear(self, row: Sequence[Any], connection: "psycopg.Connection[Any]") -> None:
        """What `steady` has answered. A pooler has given another number than that of the process it has chosen."""
        if self._has_grown:
            return
        process, size = row[-2:]
        self._is_direct = process == connection.info.backend_pid
        if size >= GROWN and self._is_direct:
            self._has_grown = True
            self._names.clear()
