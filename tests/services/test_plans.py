"""Whatever is done for each run finds its rows by indexes, and costs the same on a thread with a long history."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection

from bench.operations import OPERATIONS, Operation, Subject, subject_of
from bench.populate import populate
from runs.models import Compared, StatementTimestamp
from runs.services import cancel, history, results, runs
from runs.streaming import rows
from tests.support.plans import Plan, explained, undone

RUNS, LENGTHS = 6_000, (1, 100)
#: Tables that grow with every run; the others have a row for each worker, user or key. LangGraph's are small here.
GROWING = ("runs_run", "runs_thread", "runs_checkpoint", "runs_runevent")
UNSETTLED = "runs_run_unsettled"
BEGUN = "runs_run_begun"
#: How Django reads a column of a run that was left out.
ASKED_AFTERWARDS = 'FROM "runs_run" WHERE "runs_run"."id" = %s LIMIT 21'
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


#: What is asked of one thread, run or checkpoint that is named by its id.
BY_ID: dict[str, Callable[[Subject], Any]] = {
    "a thread": lambda one: history.get_thread(thread_id=one.thread.pk, owner=one.thread.owner),
    "whether a thread is there": lambda one: rows.is_visible(one.thread.pk, one.thread.owner),
    "a state": lambda one: history.get_state(
        thread_id=one.thread.pk, owner=one.thread.owner, checkpoint_id=one.thread.head_id
    ),
    "a run": lambda one: runs.get_run(run_id=one.last.pk, owner=one.thread.owner),
    "a run of a thread": lambda one: runs.get_run(run_id=one.last.pk, owner=one.thread.owner, thread_id=one.thread.pk),
    "a run that has begun": lambda one: rows.begun(one.thread.pk, one.thread.owner, one.last.pk),
    "whether a run is there": lambda one: results.exist(
        owner=one.thread.owner, thread_id=one.thread.pk, run_ids=[one.last.pk], statuses=[]
    ),
    "cancel by id": lambda one: cancel.cancel_runs(actor=one.actor, thread_id=one.thread.pk, run_ids=[one.last.pk]),
}
KEYS = {"runs_thread_pkey", "runs_run_pkey", "runs_checkpoint_pkey"}


@pytest.fixture
def subjects() -> dict[int, Subject]:
    """A month of runs, and a thread with each of LENGTHS, with statistics.

    In new files, until the transaction is undone: what earlier tests have undone stays in the old ones, and most of all
    in the small indexes, until a vacuum, and the planner counts their pages.
    """
    _populate()
    found = {length: subject_of(length) for length in LENGTHS}
    _analyze()
    return found


@pytest.fixture
def unknown() -> Subject:
    """A thread and its owner of whom the statistics say that there is nothing: complete, and older than both."""
    _populate()
    with connection.cursor() as cursor:
        for table, column in (("run", "thread_id"), ("checkpoint", "thread_id"), ("checkpoint", "run_id")):
            cursor.execute(f"ALTER TABLE runs_{table} ALTER COLUMN {column} SET STATISTICS 10000")
    _analyze()
    return subject_of(LENGTHS[-1])


def _populate() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(GROWING)}, runs_worker CASCADE")
    populate(runs=RUNS, events=3 * RUNS)
    _enforce()


def _enforce() -> None:
    """Check now what is checked at the end of a transaction: until then a table can be neither altered nor emptied."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def _analyze() -> None:
    _enforce()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


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


def asked_by_id(subject: Subject) -> dict[str, set[str]]:
    """The indexes by which each of BY_ID finds its rows."""
    found = {}
    for name, ask in BY_ID.items():
        with undone(), explained() as plans:
            ask(subject)
        found[name] = indexes(plans)
    return found


def test_what_is_named_by_its_id_is_found_by_its_key_whatever_the_statistics_say(unknown: Subject) -> None:
    for name, found in asked_by_id(unknown).items():
        assert found, name
        assert found <= KEYS, (name, found)
    for operation in OPERATIONS:
        of_owner = {name for name in indexes(plans_of(operation, unknown)) if name.endswith("_newest_of_owner")}
        assert of_owner <= {FOUND_BY.get(operation.name)}, operation.name


def test_statistics_that_mislead_are_seen(unknown: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the test above. A run is asked for by nothing but its id."""
    monkeypatch.setattr(Compared, "template", "(%(expressions)s)")
    assert [name for name, found in asked_by_id(unknown).items() if found <= KEYS] == ["a run", "a run of a thread"]


def test_no_column_that_was_left_out_is_asked_for_afterwards(subjects: dict[int, Subject]) -> None:
    """But `overwritten` by a rollback: what graphs had changed is large, and has to be put back."""
    changes = ("create", "claim", "step", "finish", "cancel", "settle")
    for operation in OPERATIONS:
        if operation.name.startswith(changes) and "rollback" not in operation.name:
            asked = [plan.sql for plan in plans_of(operation, subjects[1]) if ASKED_AFTERWARDS in plan.sql]
            assert asked == [], operation.name


def test_a_sweep_for_what_is_old_reads_nothing_else(
    subjects: dict[int, Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on while the statement is executed no index is searched: the negative control."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # there are few keys here
    for name in ("sweep: overdue", "sweep: old idempotency keys"):
        operation = next(one for one in OPERATIONS if one.name == name)
        old = sum(plan.buffers for plan in plans_of(operation, subjects[1]))
        with monkeypatch.context() as patched:
            patched.setattr(StatementTimestamp, "function", "clock_timestamp")
            every = sum(plan.buffers for plan in plans_of(operation, subjects[1]))
        assert old <= 2 < every, (name, old, every)
