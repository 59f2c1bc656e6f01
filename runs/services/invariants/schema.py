"""What the database itself repeats of the invariants: is everything that the models declare there, and is it that?

What a constraint is called is not what it does. An expression is written by Django in one way and by PostgreSQL in
another, so PostgreSQL is asked how it reads both. Nothing here writes: a read-only connection will do.
"""

import json
from collections.abc import Iterator

from django.apps import apps
from django.db import ProgrammingError, connection, transaction

from runs.services.invariants.catalog import read_catalog
from runs.services.invariants.declared import declared
from runs.services.invariants.definitions import Definition
from runs.services.invariants.violation import Violation

Pair = tuple[Definition, Definition]


def missing_constraints() -> Iterator[Violation]:
    """Yield the columns, constraints and indexes that the models declare and the database has not, or has otherwise.

    A migration can take away more than it says: Django, altering a foreign key to have no index of its own, drops every
    index on that column alone, also one that is a unique constraint (`BaseDatabaseSchemaEditor._alter_field`).
    """
    models = {model._meta.db_table: model for model in apps.get_app_config("runs").get_models()}
    there = read_catalog(list(models))
    for table, model in sorted(models.items()):
        for what in _differences(table, declared(model), there[table]):
            yield Violation("schema", f"table {table}", what)


def _differences(table: str, wanted: dict[str, Definition], there: dict[str, Definition]) -> Iterator[str]:
    alike: dict[str, Pair] = {}
    for name, definition in sorted(wanted.items()):
        if (found := there.get(name)) is None:
            yield f"lacks {name}"
        elif found.shape != definition.shape:
            yield _differs(name, (definition, found))
        elif found.expressions:
            alike[name] = (definition, found)
    try:
        meanings = _meanings(table, [sql for pair in alike.values() for one in pair for sql in one.expressions])
    except ProgrammingError as error:  # a column or function that an expression names is not there
        yield f"cannot be compared: {str(error).splitlines()[0]}"
        return
    for name, pair in alike.items():
        declared_meaning, found_meaning = ([meanings[sql] for sql in one.expressions] for one in pair)
        if declared_meaning != found_meaning:
            yield _differs(name, pair)


def _differs(name: str, pair: Pair) -> str:
    return f"has {name} as {pair[1]}, declared is {pair[0]}"


def _meanings(table: str, expressions: list[str]) -> dict[str, str]:
    """How PostgreSQL writes each of them after it has read and simplified it; executes nothing."""
    if not expressions:
        return {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) SELECT {', '.join(expressions)} FROM {table}")  # noqa: S608 - our own
        (answer,) = cursor.fetchone()
    found = answer if isinstance(answer, list) else json.loads(answer)
    return dict(zip(expressions, found[0]["Plan"]["Output"], strict=True))
