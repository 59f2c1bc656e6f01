"""Values as SQL, and rows as values: what psycopg does, with what it looks up each time looked up once."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.postgres import types
from psycopg.pq.abc import PGresult
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.json import Jsonb

#: In these a string is not what it says: the quote ends it, NUL is refused, and the backslash depends on a setting.
_SPECIAL = ("'", "\\", "\0")


def inserted(template: str, values: Sequence[Any], connection: "psycopg.Connection[Any]") -> str:
    """The SQL with the values in place of its `%s`."""
    first, *others = _split(template)
    pieces = [first]
    for value, after in zip(values, others, strict=True):
        pieces += (literal(value, connection), after)
    return "".join(pieces)


@lru_cache(maxsize=1000)
def numbered(template: str) -> str:
    """The SQL with `$1` and so on in place of its `%s`."""
    first, *others = _split(template)
    return first + "".join(f"${number}{after}" for number, after in enumerate(others, 1))


@lru_cache(maxsize=1000)
def _split(template: str) -> list[str]:
    return template.split("%s")


def literal(value: Any, connection: "psycopg.Connection[Any]") -> str:
    """The value as SQL, of no type if it is text: it takes that of the column it is for."""
    form = _FORMS.get(type(value))
    found = None if form is None else form(value)
    return sql.Literal(value).as_string(connection) if found is None else found


def _quoted(text: str) -> str | None:
    return None if any(one in text for one in _SPECIAL) else f"'{text}'"


def _number(value: int) -> str:
    return f" {value}" if value < 0 else str(value)  # a minus behind a minus would begin a comment


def _document(value: Jsonb) -> str | None:
    text = (value.dumps or json.dumps)(value.obj)
    return _quoted(text) if isinstance(text, str) else None


#: By exact type; None: psycopg is asked.
_FORMS: dict[type, Callable[[Any], str | None]] = {
    str: _quoted,
    bool: lambda value: "true" if value else "false",
    int: _number,
    NoneType: lambda _: "NULL",
    UUID: lambda value: f"'{value}'::uuid",
    datetime: lambda value: f"'{value}'::timestamptz" if value.tzinfo else None,
    Jsonb: _document,
}


class _Moment(TimestamptzLoader):
    """Of whatever time zone the session is. psycopg's own takes it apart by a regular expression."""

    def load(self, data: Buffer) -> datetime:
        try:
            return datetime.fromisoformat(bytes(data).decode()).astimezone(UTC)
        except ValueError:  # infinity, or before Christ
            return super().load(data)


class Loading:
    """Rows as the connection of these adapters reads them. It must not know the connection, which keeps it."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters, self.connection = AdaptersMap(adapters), None
        self.adapters.register_loader(types["timestamptz"].oid, _Moment)
        self._transformer = Transformer(self)

    def rows(self, result: PGresult) -> list[tuple[Any, ...]]:
        """Those of a result; none if it is of a statement that returns none."""
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)
