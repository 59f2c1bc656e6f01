"""The database has what the models declare, and what is there under a name is what the models mean by it."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from runs.services.invariants import missing_constraints

pytestmark = pytest.mark.django_db

#: A change, and how the check names it.
CHANGES = {
    "DROP INDEX runs_run_one_lease": "lacks runs_run_one_lease",
    "DROP INDEX runs_run_one_lease; CREATE INDEX runs_run_one_lease ON runs_run (thread_id) WHERE leased": (
        'has runs_run_one_lease as INDEX (thread_id) WHERE leased, declared is UNIQUE INDEX (thread_id) WHERE "leased"'
    ),
    "DROP INDEX runs_run_held; CREATE INDEX runs_run_held ON runs_run (worker_id) WHERE purged": (
        'has runs_run_held as INDEX (worker_id) WHERE purged, declared is INDEX (worker_id) WHERE "leased"'
    ),
    "DROP INDEX runs_run_newest; CREATE INDEX runs_run_newest ON runs_run (created_at, sequence DESC)": (
        "has runs_run_newest as INDEX (created_at, sequence DESC), declared is INDEX (created_at DESC, sequence DESC)"
    ),
    "DROP INDEX runs_run_held; CREATE INDEX runs_run_held ON runs_run USING hash (worker_id) WHERE leased": (
        'has runs_run_held as INDEX USING hash (worker_id) WHERE leased, declared is INDEX (worker_id) WHERE "leased"'
    ),
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'runs_run_newest'::regclass": (
        "has runs_run_newest as INDEX (created_at DESC, sequence DESC) INVALID, "
        "declared is INDEX (created_at DESC, sequence DESC)"
    ),
    "ALTER TABLE runs_run DROP CONSTRAINT runs_run_running_leased; "
    "ALTER TABLE runs_run ADD CONSTRAINT runs_run_running_leased CHECK (true)": (
        'has runs_run_running_leased as CHECK true, declared is CHECK ((NOT ("status" = \'running\') OR "leased"))'
    ),
    "ALTER TABLE runs_run DROP CONSTRAINT runs_run_lease_has_worker; "
    "ALTER TABLE runs_run ADD CONSTRAINT runs_run_lease_has_worker "
    "CHECK (NOT leased OR worker_id IS NOT NULL) NOT VALID": (
        "has runs_run_lease_has_worker as CHECK ((NOT leased) OR (worker_id IS NOT NULL)) NOT VALID, "
        'declared is CHECK ((NOT "leased" OR "worker_id" IS NOT NULL))'
    ),
    "ALTER TABLE runs_run DROP CONSTRAINT runs_run_sequence_key": "lacks unique (sequence)",
    "ALTER TABLE runs_run ALTER COLUMN sequence DROP DEFAULT": (
        "has column sequence as bigint NOT NULL, "
        "declared is bigint NOT NULL DEFAULT CAST((nextval('runs_run_sequence')) AS bigint)"
    ),
    "ALTER TABLE runs_run ALTER COLUMN request_id SET DEFAULT 'none'": (
        "has column request_id as character varying(64) NOT NULL "
        "DEFAULT CAST('none'::character varying AS character varying(64)), "
        "declared is character varying(64) NOT NULL DEFAULT CAST('' AS character varying(64))"
    ),
    "ALTER TABLE runs_run ALTER COLUMN leased DROP NOT NULL": (
        "has column leased as boolean, declared is boolean NOT NULL"
    ),
    "ALTER TABLE runs_run ALTER COLUMN max_attempts TYPE bigint": (
        "has column max_attempts as bigint NOT NULL, declared is integer NOT NULL"
    ),
}


def found_in_runs() -> list[str]:
    """What is said of the table of runs."""
    return [found.what for found in missing_constraints() if found.row == "table runs_run"]


def foreign_keys() -> dict[str, str]:
    """The name of the foreign key of each column of a run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, conname FROM pg_constraint "
            "JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] "
            "WHERE contype = 'f' AND conrelid = 'runs_run'::regclass"
        )
        return dict(cursor.fetchall())


def test_the_migrations_leave_every_constraint_and_index_of_the_models() -> None:
    assert list(map(str, missing_constraints())) == []


def test_it_can_be_asked_of_a_database_that_only_reads() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX runs_run_one_lease; SET TRANSACTION READ ONLY")
    assert found_in_runs() == ["lacks runs_run_one_lease"]


def test_a_constraint_that_is_gone_is_named() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX runs_run_one_lease")
    out = StringIO()
    with pytest.raises(CommandError, match="1 violation"):
        call_command("check_invariants", stdout=out)
    assert out.getvalue() == "schema table runs_run: lacks runs_run_one_lease\n"


@pytest.mark.parametrize(("change", "what"), CHANGES.items())
def test_what_is_there_under_its_name_and_does_something_else_is_named(change: str, what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(change)
    assert found_in_runs() == [what]


def test_every_foreign_key_that_is_gone_is_named() -> None:
    names = foreign_keys()
    assert "thread_id" in names
    with connection.cursor() as cursor:
        for name in names.values():
            cursor.execute(f"ALTER TABLE runs_run DROP CONSTRAINT {name}")
    assert found_in_runs() == [f"lacks foreign key ({column})" for column in sorted(names)]


def test_a_foreign_key_to_something_else_is_named() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE runs_run DROP CONSTRAINT {foreign_keys()['base_id']}")
        cursor.execute(
            "ALTER TABLE runs_run ADD FOREIGN KEY (base_id) REFERENCES runs_checkpoint(id) ON DELETE CASCADE"
        )
    assert found_in_runs() == [
        "has foreign key (base_id) as FOREIGN KEY (base_id) REFERENCES runs_checkpoint(id) ON DELETE CASCADE, "
        "declared is FOREIGN KEY (base_id) REFERENCES runs_checkpoint(id) DEFERRABLE INITIALLY DEFERRED"
    ]


def test_a_table_without_a_column_that_a_condition_names_is_said_to_lack_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE runs_run RENAME purged TO cleared")
    lacks, cannot = found_in_runs()
    assert lacks == "lacks column purged"
    assert cannot.startswith('cannot be compared: column "purged" does not exist')


def test_no_index_is_the_beginning_of_another_of_the_same_table() -> None:
    """Of LangGraph's tables, too: each write would pay for it, and the planner might take it for the other."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT short.indexrelid::regclass::text
            FROM pg_index short JOIN pg_index long USING (indrelid)
            WHERE short.indrelid::regclass::text IN ('checkpoints', 'checkpoint_blobs', 'checkpoint_writes')
                AND short.indnkeyatts < long.indnkeyatts AND short.indpred IS NULL AND long.indpred IS NULL
                AND short.indkey::int2[] = (long.indkey::int2[])[0:short.indnkeyatts - 1]
            """
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'checkpoint%'")
        assert cursor.fetchone() == (4,)
