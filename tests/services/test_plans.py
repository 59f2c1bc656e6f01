"""Whatever is done for each run finds its rows by indexes, and costs the same on a thread with a long history."""

from collections.abc import Sequence

import pytest
from django.db import connection

from bench.operations import OPERATIONS, Operation, Subject, subject_of
from bench.populate import populate
from runs.services import history
from tests.support.plans import Plan, explained, undone

RUNS, LENGTHS = 6_000, (1, 100)
#: Tables that grow with every run; the others have a row for each worker, user or key. LangGraph's are small here.
GROWING = ("runs_run", "runs_thread", "runs_checkpoint", "runs_runevent")
UNSETTLED = "runs_run_unsettled"
BEGUN = "runs_run_begun"
#: By which index the statement that matters finds what it looks for.
FOUND_BY = {
    "claim": UNSETTLED,
    "step (checkpoint)": UNSETTLED,
    "finish": "runs_run_last_finished",
    "finish, a run waits (dispatch_next)": UNSETTLED,
    "create, reject, idle thread": UNSETTLED,
    "create, interrupt, busy thread": UNSETTLED,
    "cancel, pending": UNSETTLED,
    "wait's question": "runs_run_pkey",
    "wait's result": "runs_checkpoint_of_run",
    "list a thread's runs": "runs_run_newest_of_thread",
    "thread stream, next run": BEGUN,
    "search threads, newest 10": "runs_thread_newest_of_owner",
    "sweep: overdue": "runs_run_deadline",
    "sweep: lost": UNSETTLED,
}


@pytest.fixture
def subjects() -> dict[int, Subject]:
    """A month of runs, and a thread with each of LENGTHS, with statistics.

    In new files, until the transaction is undone: what earlier tests have undone stays in the old ones, and most of all
    in the small indexes, until a vacuum, and the planner counts their pages.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(GROWING)}, runs_worker CASCADE")
    populate(runs=RUNS, events=3 * RUNS)
    found = {length: subject_of(length) for length in LENGTHS}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; ANALYZE")
    return found


def plans_of(operation: Operation, subject: Subject) -> Sequence[Plan]:
    """The plans of its statements; what it does is undone."""
    with undone():
        prepared = operation.prepare(subject)
        with explained() as plans:
            operation.measure(subject, prepared)
    return plans


def scans(plans: Sequence[Plan]) -> set[str]:
    return {node for plan in plans for node in plan.shape}


def indexes(plans: Sequence[Plan]) -> set[str]:
    return {node.rpartition(" ")[2] for node in scans(plans) if "Index" in node}


def test_every_operation_finds_its_rows_by_indexes_however_long_the_thread_is(subjects: dict[int, Subject]) -> None:
    for operation in OPERATIONS:
        short, long = (plans_of(operation, subjects[length]) for length in LENGTHS)
        for plans in (short, long):
            read = {node for node in scans(plans) if node in {f"Seq Scan {table}" for table in GROWING}}
            assert read == set(), (operation.name, [plan.sql for plan in plans if read & set(plan.shape)])
        wanted = FOUND_BY.get(operation.name)
        assert wanted is None or wanted in indexes(long), (operation.name, scans(long))
        pages = [sum(plan.buffers for plan in plans) for plans in (short, long)]
        assert pages[1] <= 2 * pages[0] + 100, (operation.name, pages)
    assert {operation.name for operation in OPERATIONS} >= FOUND_BY.keys()


def test_a_missing_index_is_seen(subjects: dict[int, Subject]) -> None:
    """The negative control of the test above."""
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX runs_run_unsettled, runs_run_begun")
    for name, wanted in (("claim", UNSETTLED), ("sweep: lost", UNSETTLED), ("thread stream, next run", BEGUN)):
        operation = next(one for one in OPERATIONS if one.name == name)
        assert wanted not in indexes(plans_of(operation, subjects[100])), name


def test_a_walk_through_a_threads_history_is_seen(
    subjects: dict[int, Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one: without its bound the walk reads every step there ever was."""
    operation = next(one for one in OPERATIONS if one.name == "history, 10 states")
    monkeypatch.setattr(history, "_deepest", lambda *_: 2**31 - 1)
    short, long = (sum(plan.buffers for plan in plans_of(operation, subjects[length])) for length in LENGTHS)
    assert long > 2 * short + 100
