"""Statements that are put together once, and sent several at a time.

The ORM compiles a query whenever it is asked and sends it alone. What every run costs several times is worth more: a
SELECT of a model's rows is compiled once for the life of the process, and what belongs together is one round trip.
Each statement still sees what was committed when it began, so one that follows a lock reads what the former holder
has left (PostgreSQL 18, 13.2.1 and 54.2.2.1). Needs client-side binding, Django's default: `manage.py check` says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import AutoField, Field, Model
from django.db.models.expressions import DatabaseDefault

SEPARATOR = ";\n"
M = TypeVar("M", bound=Model)
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Statement:
    """SQL and what its `%s` stand for."""

    sql: str
    values: Sequence[Any] = ()


def execute(*statements: Statement) -> list[list[Row]]:
    """Execute the statements in this order, in one round trip, and return the rows of each."""
    with connection.cursor() as cursor:
        values = [value for one in statements for value in one.values]
        cursor.execute(SEPARATOR.join(one.sql for one in statements), values)
        results = [_rows(cursor)]
        while cursor.nextset():
            results.append(_rows(cursor))
    return results


def _rows(cursor: Any) -> list[Row]:
    """None of a statement that returns none; asking psycopg for its `description` would cost more than the rows."""
    return cursor.fetchall() if cursor.pgresult.ntuples else []


class Select(Generic[M]):
    """Rows of one model. `only` and `without` name columns; reading one that was left out asks for it, as ever."""

    def __init__(self, model: type[M], rest: str, *, only: Collection[str] = (), without: Collection[str] = ()) -> None:
        self._model, self._rest, self._only, self._without = model, rest, only, without

    def __call__(self, *values: Any) -> Statement:
        """The statement, for these values of `rest`."""
        return Statement(self._sql, values)

    def load(self, rows: Sequence[Row]) -> list[M]:
        """What the statement has returned, as instances of the model."""
        names = [field.attname for field in self._fields]
        return [self._model.from_db(connection.alias, names, self._convert(row)) for row in rows]

    @cached_property
    def _fields(self) -> list["Field[Any, Any]"]:
        wanted = {self._model._meta.pk.attname, *self._only}
        every = self._model._meta.concrete_fields
        return [
            field for field in every if field.attname in wanted or (not self._only and field.name not in self._without)
        ]

    @cached_property
    def _sql(self) -> str:
        columns = ", ".join(_quoted(field) for field in self._fields)
        return f"SELECT {columns} FROM {_table(self._model)} {self._rest}"  # noqa: S608 - our names

    @cached_property
    def _converters(self) -> list[tuple[int, Any, Any]]:
        found = []
        for place, field in enumerate(self._fields):
            column = field.cached_col
            converters = connection.ops.get_db_converters(column) + column.get_db_converters(connection)
            found += [(place, converter, column) for converter in converters]
        return found

    def _convert(self, row: Row) -> Sequence[Any]:
        values = list(row)
        for place, converter, column in self._converters:
            values[place] = converter(values[place], column, connection)
        return values


def update(row: Model, columns: Mapping[str, Any]) -> Statement:
    """Write these columns of the row and nothing else."""
    fields = [row._meta.get_field(name) for name in columns]
    assignments = ", ".join(f"{_quoted(field)} = %s" for field in fields)
    values = [_prepared(field, value) for field, value in zip(fields, columns.values(), strict=True)]
    key = _quoted(row._meta.pk)
    return Statement(f"UPDATE {_table(type(row))} SET {assignments} WHERE {key} = %s", [*values, row.pk])  # noqa: S608


def insert(row: Model, *, returning: str = "", if_free: bool = False) -> Statement:
    """Insert the row; what the database has a default for and nobody has set, it sets itself.

    `if_free`: unless its key is taken. Of two who insert the same key the second waits for the first.
    """
    given = [(field, getattr(row, field.attname)) for field in row._meta.concrete_fields]
    given = [(field, value) for field, value in given if not _is_left_to_the_database(field, value)]
    columns = ", ".join(_quoted(field) for field, _ in given)
    places = ", ".join(["%s"] * len(given))
    sql = f"INSERT INTO {_table(type(row))} ({columns}) VALUES ({places})"  # noqa: S608 - our names
    sql += " ON CONFLICT DO NOTHING" if if_free else ""
    sql += f" RETURNING {returning}" if returning else ""
    return Statement(sql, [_prepared(*one) for one in given])


def _is_left_to_the_database(field: Any, value: Any) -> bool:
    return isinstance(value, DatabaseDefault) or (value is None and isinstance(field, AutoField))


def _prepared(field: Any, value: Any) -> Any:
    return field.get_db_prep_save(value, connection)


def _table(model: type[Model]) -> str:
    return f'"{model._meta.db_table}"'


def _quoted(field: Any) -> str:
    return f'"{field.column}"'
