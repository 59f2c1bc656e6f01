"""Fill an empty database with as many runs, and as many events, as a busy installation has after a month.

`python -m bench.populate --runs 1000000 --events 10000000` fills the database that DATABASE_URL names.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from bench import rows

DAYS = 30
#: Runs that are written in one transaction.
SLICE = 50_000
#: Runs in flight, at most; they are on threads of their own, of which this many are executing or stopping.
IN_FLIGHT, BUSY_THREADS, RUNNING, STOPPING = 2_000, 400, 44, 4
HOSTS, CAPACITY, VERSION = 8, 8, "0.1.0"
OWNERS = 50
TABLES = ("runs_thread", "runs_run", "runs_runevent", "runs_checkpoint", "runs_worker", "runs_idempotencykey")

Report = Callable[[str], None]


def populate(*, runs: int, events: int, in_flight: int | None = None, report: Report = lambda _: None) -> None:
    """Write the rows. They satisfy every constraint and every invariant that the tables show.

    A run's history has three events or more; to have `events` of them on the average, runs are executed in several
    attempts. `in_flight` of them have not ended; by default a tenth, at most IN_FLIGHT. Raises SystemExit if there are
    runs already, or if the numbers do not go together.
    """
    values = _values(runs, events, min(IN_FLIGHT, runs // 10) if in_flight is None else in_flight)
    with transaction.atomic(), connection.cursor() as cursor:
        values |= {"first_owner": _owners(cursor)}
        cursor.execute(rows.FUNCTIONS)
        cursor.execute(rows.PLAN, values)
        cursor.execute(rows.PLAN_INDEXES, values)
        report("planned")
        cursor.execute(rows.WORKERS, values)
        cursor.execute(rows.THREADS, values)
        report("threads")
    for first in range(1, runs + 1, SLICE):
        part = {**values, "first": first, "last": min(first + SLICE - 1, runs)}
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in (rows.CHECKPOINTS, rows.RUNS, rows.EVENTS):
                cursor.execute(statement, part)
        report(f"runs up to {part['last']:,}")
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (rows.THREAD_STATES, rows.KEYS, rows.END):
            cursor.execute(statement, values)
    report("states of threads, idempotency keys")


def _values(runs: int, events: int, in_flight: int) -> dict[str, Any]:
    from runs.models import Run

    if Run.objects.exists():
        raise SystemExit(f"There are runs in {connection.settings_dict['NAME']} already; an empty database is needed.")
    if runs < 1 or events < 3 * runs:
        raise SystemExit("At least one run, and three events for each.")
    return {
        "runs": runs,
        "in_flight": in_flight,
        "busy": max(1, min(BUSY_THREADS, in_flight // 5)),
        "running": min(RUNNING, in_flight // 20),
        "stopping": min(STOPPING, in_flight // 40),
        "threads": max(1, runs // 10),
        # Created, ended, and two for each attempt but the last, which is claimed only.
        "attempts": (events / runs - 1) / 2,
        "now": datetime.now(UTC),
        "span": timedelta(days=DAYS),
        "days": DAYS,
        "hosts": HOSTS,
        "capacity": CAPACITY,
        "version": VERSION,
        "owners": OWNERS,
    }


def _owners(cursor: Any) -> int:
    """Users whose ids follow each other; the id of the first is returned."""
    cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM auth_user")
    first = int(cursor.fetchone()[0])
    cursor.execute(
        "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_staff, is_superuser, "
        "is_active, date_joined) SELECT id, 'customer-' || id, '!', '', '', '', false, false, true, now() "
        "FROM generate_series(%s, %s) id",
        [first, first + OWNERS - 1],
    )
    cursor.execute("SELECT setval(pg_get_serial_sequence('auth_user', 'id'), %s)", [first + OWNERS - 1])
    return first


def counts() -> Iterator[tuple[str, int]]:
    """How many rows there are in each table, counted."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
            yield table, cursor.fetchone()[0]


def vacuum() -> None:
    """What autovacuum will have done to a database that has grown over a month."""
    with connection.cursor() as cursor:
        for table in (*TABLES, "auth_user"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")


def main() -> None:
    """Fill, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="how many (default 1000000)")
    parser.add_argument("--events", type=int, default=10_000_000, help="about how many (default 10000000)")
    given = parser.parse_args()
    began = time.perf_counter()

    def report(what: str) -> None:
        print(f"{time.perf_counter() - began:7.1f} s  {what}", flush=True)

    populate(runs=given.runs, events=given.events, report=report)
    vacuum()
    report("vacuumed and analysed")
    for table, count in counts():
        print(f"{table:20} {count:>12,}")


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    main()
