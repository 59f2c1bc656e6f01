"""Whether what is done for each run costs the same beside ten thousand runs and beside millions.

One embedded PostgreSQL for each size, filled once and kept in `--home`. Every operation of operations.py is executed in
each of them in turns, in a transaction that is rolled back: once to warm up, once with each of its statements
explained, then several times with their time taken, as the client sees it.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.report import show
from project.local.postgres import Postgres

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from bench.operations import Operation, Subject
    from tests.support.plans import Plan

SIZES = (10_000, 1_000_000, 5_000_000)
LENGTHS = (1, 100, 10_000)
EVENTS_PER_RUN = 3
REPEATS = 15
#: Of so many the one that reads least counts: who prunes a page, splits one or needs a new one pays for others.
EXPLAINED = 3
#: Keys as old as this would be forgotten while we measure, in one size more of them than in another.
GROWS_OLD = timedelta(hours=18)
#: Of servers of our own that only this machine reaches, and that hold nothing.
OWN = "growth"
NO_REDIS = "redis://127.0.0.1:1/0"


@dataclass
class Database:
    """One size: its server, and Django's connection to it."""

    runs: int
    postgres: Postgres
    wrapper: "BaseDatabaseWrapper | None" = None
    subjects: "dict[int, Subject]" = field(default_factory=dict)

    @contextmanager
    def used(self) -> Iterator[None]:
        """In this block Django's default connection is this database's."""
        from django.db import connections
        from django.db.utils import load_backend
        from environ import Env

        if self.wrapper is None:
            chosen = {**connections.databases["default"], **Env.db_url_config(self.postgres.url)}
            self.wrapper = load_backend(chosen["ENGINE"]).DatabaseWrapper(chosen, "default")
        connections["default"] = self.wrapper
        yield

    def fill(self) -> None:
        """Migrate; populate unless that has been done; make the threads that are measured."""
        from django.core.management import call_command
        from django.db import transaction

        from bench.bulk import bulk_load
        from bench.operations import subject_of
        from bench.populate import IN_FLIGHT, populate, vacuum
        from runs.models import ClockTimestamp, IdempotencyKey, Run

        call_command("migrate", verbosity=0)
        if not Run.objects.exists():
            with bulk_load():
                populate(runs=self.runs, events=EVENTS_PER_RUN * self.runs, in_flight=IN_FLIGHT, report=_say)
            vacuum()
        IdempotencyKey.objects.filter(created_at__lt=ClockTimestamp() - GROWS_OLD).delete()
        for length in LENGTHS:
            with transaction.atomic():
                transaction.get_connection().atomic_blocks[-1]._from_testcase = True
                self.subjects[length] = subject_of(length)
        vacuum()

    def tidy(self) -> None:
        """Remove what was undone: the rows are dead, but whoever comes by their index entries looks at them."""
        from django.db import connection

        from bench.populate import TABLES
        from runs.services import graph_rows

        with self.used(), connection.cursor() as cursor:
            for table in (*TABLES, *graph_rows.TABLES):
                cursor.execute(f"VACUUM (INDEX_CLEANUP ON) {table}")

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """In this block only `tidy` vacuums: while autovacuum reads a large table, nobody removes what is dead."""
        self._configure("ALTER SYSTEM SET autovacuum = off")
        try:
            yield
        finally:
            self._configure("ALTER SYSTEM RESET autovacuum")

    def _configure(self, statement: str) -> None:
        from django.db import connection

        with self.used(), connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.execute("SELECT pg_reload_conf()")
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
            )


@contextmanager
def started(home: Path, runs: int) -> Iterator[Postgres]:
    """The PostgreSQL of this size."""
    place = home / str(runs)
    place.mkdir(parents=True, exist_ok=True)
    postgres = Postgres(place / "postgres", log=place / "postgres.log", password=OWN, durable=False)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop()


@contextmanager
def opened(home: Path, sizes: Sequence[int]) -> Iterator[list[Database]]:
    """Every size, filled; Django is set up for them."""
    with ExitStack() as stack:
        databases = []
        for runs in sizes:
            databases.append(Database(runs, stack.enter_context(started(home, runs))))
        _set_up(databases[0])
        for database in databases:
            _say(f"{database.runs:,} runs")
            with database.used():
                database.fill()
        yield databases


def _set_up(database: Database) -> None:
    import django

    os.environ |= {
        "SECRET_KEY": "only-for-measurements" * 3,
        "DATABASE_URL": database.postgres.url,
        "REDIS_URL": NO_REDIS,
        "RUNYARD_LOG_LEVEL": "ERROR",  # nobody hears the hints
        "RUNYARD_ASSISTANTS": "echo=tests.support.factories:echo",
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }
    django.setup()


def measure(
    databases: Sequence[Database], repeats: int, wanted: Sequence[str], *, by_statement: bool = False
) -> Iterator[dict[str, Any]]:
    """One row for each operation and length of a thread, or for each of its statements."""
    from bench.operations import OPERATIONS

    for operation in OPERATIONS:
        if wanted and not operation.name.startswith(tuple(wanted)):
            continue
        for length in LENGTHS if operation.of_thread else LENGTHS[:1]:
            _say(f"{operation.name}, {length}")
            for database in databases:
                database.tidy()
            plans = {database.runs: _explain(operation, database, length) for database in databases}
            if by_statement:
                yield from _statements(operation, length, plans)
                continue
            times: dict[int, list[float]] = {database.runs: [] for database in databases}
            for _ in range(repeats):
                for database in databases:
                    times[database.runs].append(_time(operation, database, length))
            yield _row(operation, length, plans, times)


def _explain(operation: "Operation", database: Database, length: int) -> "list[Plan]":
    from tests.support.plans import explained

    _time(operation, database, length)
    found = []
    for _ in range(EXPLAINED):
        with _undone(operation, database, length) as action, explained() as plans:
            action()
        found.append(plans)
    return min(found, key=_pages)


def _pages(plans: "Sequence[Plan]") -> int:
    return sum(plan.buffers for plan in plans)


def _time(operation: "Operation", database: Database, length: int) -> float:
    """Milliseconds from sending each statement until its rows are here; what Python does between is left out."""
    from tests.support.plans import watched

    spent = 0.0

    def watch(execute: Callable[[], Any], _sql: str, _params: Any) -> Any:
        nonlocal spent
        began = time.perf_counter()
        try:
            return execute()
        finally:
            spent += time.perf_counter() - began

    with _undone(operation, database, length) as action, watched(watch):
        action()
    return spent * 1000


@contextmanager
def _undone(operation: "Operation", database: Database, length: int) -> Iterator[Callable[[], object]]:
    """The operation, prepared; nothing of it stays."""
    from tests.support.plans import undone

    with database.used(), undone():
        subject = database.subjects[length]
        prepared = operation.prepare(subject)
        yield lambda: operation.measure(subject, prepared)


def _row(
    operation: "Operation", length: int, plans: "Mapping[int, list[Plan]]", times: Mapping[int, list[float]]
) -> dict[str, Any]:
    small, large = min(plans), max(plans)
    buffers = {runs: _pages(found) for runs, found in plans.items()}
    medians = {runs: statistics.median(found) for runs, found in times.items()}
    shapes = {runs: [plan.shape for plan in found] for runs, found in plans.items()}
    return {
        "operation": operation.name,
        "runs on the thread": length if operation.of_thread else "",
        "statements": len(plans[large]),
        "pages": ", ".join(f"{count}" for count in buffers.values()),
        "ratio": round(buffers[large] / max(buffers[small], 1), 2),
        "ms": ", ".join(f"{median:.2f}" for median in medians.values()),
        "ratio of ms": round(medians[large] / medians[small], 2),
        "plans": "same" if shapes[large] == shapes[small] else "; ".join(_differences(shapes[small], shapes[large])),
    }


def _statements(operation: "Operation", length: int, plans: "Mapping[int, list[Plan]]") -> Iterator[dict[str, Any]]:
    """The pages of each statement, and of each node that touches a table; an insert or update has its indexes' too."""
    for each in zip(*plans.values(), strict=True):
        yield {
            "operation": operation.name,
            "runs on the thread": length if operation.of_thread else "",
            "statement": " ".join(each[0].sql.split())[:40],
            "pages": ", ".join(f"{plan.buffers}" for plan in each),
            "nodes": "; ".join(" + ".join(f"{name} {pages}" for name, pages in plan.nodes) for plan in each),
        }


def _differences(small: Sequence[tuple[str, ...]], large: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for few, many in zip(small, large, strict=False):
        if few != many:
            yield f"{' + '.join(few)} -> {' + '.join(many)}"


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Fill what is missing, measure, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--home", type=Path, required=True, help="a directory that keeps the databases; 20 GB are needed"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SIZES), help="runs in each (default 10000 ... 5000000)"
    )
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--operations", nargs="+", default=[], help="only those whose names begin so")
    parser.add_argument("--by-statement", action="store_true", help="pages of each statement and node, and no times")
    parser.add_argument("--fill", action="store_true", help="only make the databases that are missing")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with opened(given.home, sorted(given.sizes)) as databases:
        if given.fill:
            return
        with ExitStack() as stack:
            for database in databases:
                stack.enter_context(database.undisturbed())
            rows = list(measure(databases, given.repeats, given.operations, by_statement=given.by_statement))
    show(rows, as_json=given.json, runs=", ".join(f"{size:,}" for size in sorted(given.sizes)))


if __name__ == "__main__":
    main()
