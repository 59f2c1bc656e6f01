"""The migrations make exactly the database that the models describe, and the latest go back and forth with data."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from runs.models import Run
from runs.services.invariants import find_violations, missing_constraints
from tests.support.factories import cancel, finish, make_run, make_thread, running, step

pytestmark = pytest.mark.django_db

#: How far back. Since then the migrations drop and remake constraints.
BEFORE = "0010"
#: Of the tables in the schema that comes first in the search path, so that their names are written without it.
OURS = r"relnamespace = current_schema()::regnamespace AND relname LIKE 'runs\_%'"
CATALOG = {
    "column": f"""SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attstorage,
        pg_get_expr(adbin, adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped AND {OURS}""",
    "constraint": f"""SELECT relname, conname, contype::text, pg_get_constraintdef(o.oid), convalidated
        FROM pg_constraint o JOIN pg_class c ON c.oid = conrelid WHERE contype <> 'n' AND {OURS}""",
    "index": f"""SELECT pg_get_indexdef(indexrelid, 0, true), indisvalid, indimmediate
        FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE {OURS}""",
    "sequence": f"""SELECT relname, format_type(seqtypid, NULL), seqincrement, seqcache, seqcycle
        FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid WHERE {OURS}""",
}
#: Models cannot declare these.
OPTIONS = {
    "runs_run": ["autovacuum_analyze_scale_factor=0.02", "autovacuum_vacuum_scale_factor=0.05", "fillfactor=70"],
    "runs_thread": ["autovacuum_analyze_scale_factor=0.02", "autovacuum_vacuum_scale_factor=0.05", "fillfactor=80"],
    "runs_worker": ["fillfactor=50"],
}


def schema() -> set[tuple[object, ...]]:
    """Everything about our tables that a model can declare."""
    found: set[tuple[object, ...]] = set()
    with connection.cursor() as cursor:
        for what, query in CATALOG.items():
            cursor.execute(query)
            found |= {(what, *row) for row in cursor.fetchall()}
    return found


def options() -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL AND {OURS}")
        return {name: sorted(given) for name, given in cursor.fetchall()}


@contextmanager
def elsewhere() -> Iterator[None]:
    """Our tables once more, made from the models and beside those that the migrations have made."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA declared; SET LOCAL search_path = declared, public")
        cursor.execute("CREATE SEQUENCE runs_run_sequence")
        with connection.schema_editor() as editor:
            for model in apps.get_app_config("runs").get_models():
                editor.create_model(model)
        yield
        cursor.execute("SET LOCAL search_path = public")


def test_the_models_describe_what_the_migrations_make() -> None:
    migrated = schema()
    assert {row[0] for row in migrated} == CATALOG.keys()
    with elsewhere():
        assert schema() ^ migrated == set()
    assert options() == OPTIONS


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE runs_run ALTER sequence DROP DEFAULT",
        "ALTER TABLE runs_run ALTER COLUMN owner_id DROP NOT NULL",
        "ALTER TABLE runs_run ADD CHECK (attempt < 1000000)",
        "CREATE INDEX ON runs_run (crashes)",
        "ALTER SEQUENCE runs_run_sequence CACHE 10",
    ],
)
def test_a_migration_that_made_something_else_would_be_seen(change: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(change)
    migrated = schema()
    with elsewhere():
        assert schema() ^ migrated != set()


def test_the_latest_migrations_go_back_and_forth_with_data() -> None:
    """In one transaction, which is undone: whatever goes wrong, the database of the other tests is as it was."""
    before, thread = schema(), make_thread()
    finish(running(thread), answer=42)
    step(running(thread), page=1)
    make_run(thread)
    cancel(running(make_thread()))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table with checks to come can be altered
    call_command("migrate", "runs", BEFORE, verbosity=0)
    assert schema() != before
    call_command("migrate", "runs", verbosity=0)
    assert (schema() ^ before, options()) == (set(), OPTIONS)
    assert [*missing_constraints(), *find_violations()] == []
    with pytest.raises(IntegrityError, match="runs_run_one_lease"), transaction.atomic():
        Run.objects.filter(thread=thread, status="success").update(leased=True)
