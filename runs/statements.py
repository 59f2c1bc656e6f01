"""Statements that are put together once, and sent several at a time.

The ORM compiles a query whenever it is asked and sends it alone. What every run costs several times is worth more: a
SELECT of a model's rows is compiled once for the life of the process, and what belongs together is one round trip.
Each statement still sees what was committed when it began, so one that follows a lock reads what the former holder
has left (PostgreSQL 18, 13.2.1 and 54.2.2.1). Needs client-side binding, Django's default: `manage.py check` says so.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from types import NoneType
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, JSONField, Model
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault
from django.db.models.signals import post_init, pre_init
from django.db.transaction import get_connection
from django.utils.functional import cached_property

from runs.batches import SEPARATOR, Row, execute
from runs.prepared import Statement

__all__ = ["SEPARATOR", "M", "Row", "Select", "Statement", "execute", "insert", "pipelined", "update"]

_AS_THEY_ARE = frozenset({bool, int, float, str, UUID, datetime, NoneType})
M = TypeVar("M", bound=Model)


@contextmanager
def pipelined() -> Iterator[None]:
    """In this block psycopg's own statements, bound on the server's side, do not wait for one another's answers.

    For what others execute statement by statement. A refusal comes at the end of the block.
    """
    execute()  # what waits
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


class Select(Generic[M]):
    """Rows of one model. `only` and `without` name columns; reading one that was left out asks for it, as ever."""

    def __init__(self, model: type[M], rest: str, *, only: Collection[str] = (), without: Collection[str] = ()) -> None:
        self._model, self._rest, self._only, self._without = model, rest, only, without

    # What is kept is kept by Django's cached_property: Python 3.11's takes a lock, which a child may inherit taken.

    def __call__(self, *values: Any) -> Statement:
        """The statement, for these values of `rest`."""
        return Statement(self._sql, values, kept=True)

    def load(self, rows: Sequence[Row]) -> list[M]:
        """What the statement has returned, as instances of the model."""
        if not self._is_simple or any(signal.has_listeners(self._model) for signal in (pre_init, post_init)):
            return [self._model.from_db(connection.alias, self._names, self._convert(row)) for row in rows]
        return [self._instance(row) for row in rows]

    def _instance(self, row: Row) -> M:
        """As `from_db` leaves it. `Model.__init__` sets the columns one by one, as if each could be something else."""
        instance = self._model.__new__(self._model)
        state = ModelState()
        state.adding, state.db = False, connection.alias
        vars(instance).update(zip(self._names, self._convert(row), strict=True), _state=state)
        return instance

    @cached_property
    def _is_simple(self) -> bool:
        """Whether making an instance does nothing else: a user's model may be the deployment's own."""
        made = (self._model.__init__, self._model.__new__, self._model.from_db.__func__)  # type: ignore[attr-defined]
        return made == (Model.__init__, Model.__new__, Model.from_db.__func__)  # type: ignore[attr-defined]

    @cached_property
    def _names(self) -> list[str]:
        return [field.attname for field in self._fields]

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
    sql, fields = _updating(type(row), tuple(columns))
    return Statement(sql, [*_prepared(zip(fields, columns.values(), strict=True)), row.pk], kept=True)


@lru_cache(maxsize=1000)
def _updating(model: type[Model], names: tuple[str, ...]) -> tuple[str, list[Any]]:
    fields = [model._meta.get_field(name) for name in names]
    assignments = ", ".join(f"{_quoted(field)} = %s" for field in fields)
    return f"UPDATE {_table(model)} SET {assignments} WHERE {_quoted(model._meta.pk)} = %s", fields  # noqa: S608


def insert(row: Model, *, returning: str = "", if_free: bool = False) -> Statement:
    """Insert the row; what nobody has set the database sets itself, to its default or to NULL.

    `if_free`: unless its key is taken. Of two who insert the same key the second waits for the first.
    """
    columns = _columns(type(row))
    values = [getattr(row, field.attname) for field, _ in columns]
    given = [
        (field, value)
        for (field, is_null_without), value in zip(columns, values, strict=True)
        if not (value is None and is_null_without) and not isinstance(value, DatabaseDefault)
    ]
    sql = _inserting(type(row), tuple([field.column for field, _ in given]), returning, if_free)
    return Statement(sql, _prepared(given), kept=True)


@lru_cache
def _columns(model: type[Model]) -> list[tuple[Any, bool]]:
    """With each whether it is NULL if nobody sets it."""
    return [(field, not field.has_db_default()) for field in model._meta.concrete_fields]


@lru_cache(maxsize=1000)
def _inserting(model: type[Model], names: tuple[str, ...], returning: str, if_free: bool) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    places = ", ".join(["%s"] * len(names))
    sql = f"INSERT INTO {_table(model)} ({columns}) VALUES ({places})"  # noqa: S608 - our names
    sql += " ON CONFLICT DO NOTHING" if if_free else ""
    return sql + (f" RETURNING {returning}" if returning else "")


def _prepared(given: Iterable[tuple[Any, Any]]) -> list[Any]:
    """As their columns take them: psycopg knows most values as they are, and asking a field costs as much as the rest.

    By the connection itself: `django.db.connection` looks for it at every question, and fields ask many.
    """
    own: BaseDatabaseWrapper = get_connection()
    return [
        value
        if type(value) in _AS_THEY_ARE and not isinstance(field, JSONField)
        else field.get_db_prep_save(value, own)
        for field, value in given
    ]


def _table(model: type[Model]) -> str:
    return f'"{model._meta.db_table}"'


def _quoted(field: Any) -> str:
    return f'"{field.column}"'
