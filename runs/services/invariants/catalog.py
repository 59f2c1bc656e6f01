"""What the database has: columns, constraints and indexes of tables, read from PostgreSQL's catalog."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection

from runs.services.invariants import definitions
from runs.services.invariants.definitions import Definition

Found = tuple[str, str, Definition]

_OF_THESE = "c.oid = ANY (ARRAY(SELECT to_regclass(name)::oid FROM unnest(%s::text[]) name))"
_COLUMNS = f"""
    SELECT c.relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity <> '',
        pg_get_expr(adbin, adrelid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped AND {_OF_THESE}
"""  # noqa: S608 - our own text
_CONSTRAINTS = f"""
    SELECT c.relname, conname, contype = 'c', pg_get_expr(conbin, conrelid), convalidated,
        pg_get_constraintdef(o.oid), (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1])
    FROM pg_constraint o JOIN pg_class c ON c.oid = conrelid WHERE contype IN ('c', 'f') AND {_OF_THESE}
"""  # noqa: S608
_INDEXES = f"""
    SELECT c.relname, i.relname, pg_get_indexdef(indexrelid), indisvalid AND indisready
    FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_class c ON c.oid = indrelid WHERE {_OF_THESE}
"""  # noqa: S608


def read_catalog(tables: Sequence[str]) -> dict[str, dict[str, Definition]]:
    """For each table what it has, under the names that `declared` uses."""
    found: dict[str, dict[str, Definition]] = defaultdict(dict)
    for read in (_columns, _constraints, _indexes):
        for table, name, definition in read(list(tables)):
            found[table][name] = definition
    return found


def _rows(sql: str, tables: list[str]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [tables])
        return list(cursor.fetchall())


def _columns(tables: list[str]) -> Iterator[Found]:
    for table, name, kind, is_not_null, is_identity, default in _rows(_COLUMNS, tables):
        shape = kind + (" NOT NULL" if is_not_null else "") + (" IDENTITY" if is_identity else "")
        if default is None:
            yield table, f"column {name}", Definition(shape)
        else:
            yield table, f"column {name}", Definition(f"{shape} DEFAULT ?", (f"CAST({default} AS {kind})",))


def _constraints(tables: list[str]) -> Iterator[Found]:
    for table, name, is_check, expression, is_valid, whole, column in _rows(_CONSTRAINTS, tables):
        if is_check:
            yield table, name, definitions.check(expression, is_valid=is_valid)
        else:
            yield table, f"foreign key ({column})", Definition(whole.replace('"', ""))


def _indexes(tables: list[str]) -> Iterator[Found]:
    """A unique one also under its columns: what it is called there depends on how it was made."""
    for table, name, sql, is_valid in _rows(_INDEXES, tables):
        definition = definitions.index(sql, is_valid=is_valid)
        yield table, name, definition
        if definition.shape.startswith("UNIQUE INDEX (") and definition.shape.endswith(")"):
            yield table, f"unique {definition.shape.removeprefix('UNIQUE INDEX ')}", definition
