"""What a graph writes is stored together: all of it or nothing, with its outcome or without."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, empty_checkpoint
from psycopg.types.json import Jsonb

from runs.errors import Fenced, IllegalTransition
from runs.execution.connections import executors_connection
from runs.execution.graphs.rows import VisibleRows, executors_cursor
from runs.execution.last_writes import store_last_writes
from runs.models import Checkpoint, Run
from runs.models.fields import new_checkpoint_id
from runs.services import graph_writes
from runs.services.graph_checkpoints import GraphCheckpoint, GraphTasks
from runs.services.graph_rows import TABLES
from runs.services.graph_writes import GraphWrite, RootStep, RootTasks, put_graph_writes
from runs.services.lifecycle import Outcome, finish_run
from runs.statements import execute, update
from runs.states import CancelAction, RunStatus, ThreadStatus
from runs.transactions import atomic, later
from tests.support.factories import cancel, finish, head_values, make_thread, running, stored

pytestmark = pytest.mark.usefixtures("commits", "intact")

#: Has a write of LangGraph's executed, or recorded.
Write = Callable[[Callable[[], object]], object]
TASKS = GraphTasks(next=["node"], interrupts={}, tasks=[])
ASKING = GraphTasks(next=["node"], interrupts={"task": [{"id": "1", "value": "why?"}]}, tasks=[])


@pytest.fixture
def executor(commits: None) -> Iterator[None]:
    """The connection of an executor, closed afterwards."""
    yield
    with executors_connection() as own:
        own.close()


def nothing() -> None:
    """LangGraph stores nothing."""


def refused() -> None:
    """The database refuses what LangGraph stores."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


def make_step(number: int, parent: UUID | None = None, store: Callable[[], None] = nothing) -> RootStep:
    """A step of the root graph."""
    made = GraphCheckpoint(id=new_checkpoint_id(), parent_id=parent, step=number, values={"step": number}, tasks=TASKS)
    return RootStep(store=store, checkpoint=made)


def put(run: Run, *writes: GraphWrite) -> None:
    """As the executor of this attempt."""
    put_graph_writes(run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt, writes=writes)


def finish_with(run: Run, *writes: GraphWrite) -> Run:
    """As the executor of this attempt, whose graph has come to its end."""
    outcome = Outcome(status=RunStatus.SUCCESS, keeps_head=True, writes=writes)
    return finish_run(run_id=run.pk, attempt=run.attempt, outcome=outcome)


def test_steps_follow_one_another_and_the_last_is_the_head() -> None:
    thread = make_thread()
    finish(running(thread), page=0)
    before = running(thread)
    head = before.thread.head_id
    first = make_step(1)
    second = make_step(2, first.checkpoint.id)
    put(before, first, second)
    found = {step.pk: step.parent_id for step in Checkpoint.objects.filter(run=before)}
    assert found == {first.checkpoint.id: head, second.checkpoint.id: first.checkpoint.id}
    assert stored(before).thread.head_id == second.checkpoint.id
    finish_with(before)


def test_a_step_that_comes_with_what_its_task_has_written_shows_it() -> None:
    run = running(make_thread())
    made = make_step(1)
    put(run, made, RootTasks(store=nothing, checkpoint_id=made.checkpoint.id, tasks=ASKING))
    assert Checkpoint.objects.get(pk=made.checkpoint.id).interrupts == ASKING.interrupts
    assert finish_with(run).status == RunStatus.SUCCESS
    assert stored(run).thread.status == ThreadStatus.INTERRUPTED


def test_if_one_is_refused_none_is_stored() -> None:
    run = running(make_thread())
    with pytest.raises((DataError, IntegrityError)):
        put(run, make_step(1), make_step(2, store=refused))
    assert (Checkpoint.objects.count(), stored(run).thread.head_id) == (0, None)
    finish_with(run)


def test_what_was_written_last_is_stored_with_the_outcome() -> None:
    run = running(make_thread())
    made = make_step(1)
    done = finish_with(run, made)
    assert (done.status, stored(done).thread.head_id) == (RunStatus.SUCCESS, made.checkpoint.id)
    assert head_values(done.thread) == {"step": 1}


def test_an_outcome_whose_writes_are_refused_is_not_stored() -> None:
    run = running(make_thread())
    with pytest.raises(DataError):
        finish_with(run, make_step(1, store=refused))
    assert (stored(run).status, Checkpoint.objects.count()) == (RunStatus.RUNNING, 0)
    finish_with(run)


def test_of_a_cancelled_run_neither_outcome_nor_writes_are_stored() -> None:
    run, late = running(make_thread()), mock.Mock(return_value=None)
    cancel(run, CancelAction.ROLLBACK)
    with pytest.raises(Fenced):
        finish_with(run, make_step(1, store=late))
    assert (late.call_count, Checkpoint.objects.count(), stored(run).status) == (0, 0, RunStatus.INTERRUPTED)


def test_without_the_fence_only_the_transition_stops_a_late_outcome() -> None:
    """Negative control: the writes have been stored by then, and are taken back with it."""
    run, late = running(make_thread()), mock.Mock(return_value=None)
    cancel(run, CancelAction.ROLLBACK)
    unfenced = mock.patch("runs.services.lifecycle.load_attempt", return_value=Run.objects.get(pk=run.pk))
    with unfenced, pytest.raises(IllegalTransition):
        finish_with(run, make_step(1, store=late))
    assert (late.call_count, Checkpoint.objects.count()) == (1, 0)


@pytest.mark.usefixtures("executor")
def test_without_an_outcome_all_before_the_one_that_is_refused_are_stored() -> None:
    run = running(make_thread())
    first = make_step(1)
    store_last_writes(run, [first, make_step(2, first.checkpoint.id, refused), make_step(3, first.checkpoint.id)])
    assert (Checkpoint.objects.count(), stored(run).thread.head_id) == (1, first.checkpoint.id)
    finish_with(run)


@pytest.mark.usefixtures("executor")
def test_without_an_outcome_an_attempt_that_was_stopped_stores_nothing() -> None:
    run = running(make_thread())
    cancel(run, CancelAction.ROLLBACK)
    store_last_writes(run, [make_step(1)])
    assert (Checkpoint.objects.count(), stored(run).thread.head_id) == (0, None)


@pytest.mark.usefixtures("executor")
def test_what_langgraph_writes_is_recorded_as_it_was() -> None:
    """The graph goes on with its objects, and changes them before they are stored."""
    rows, given = VisibleRows(), {"was": 1}

    def write() -> None:
        with rows._cursor() as cursor:
            cursor.execute("INSERT INTO recorded VALUES (%s)", (Jsonb(given),))

    store = rows.recorded(write)
    given["was"] = 2
    with executors_connection() as own, transaction.atomic(), own.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE recorded (value jsonb) ON COMMIT DROP")
        execute(*store())
        cursor.execute("SELECT value ->> 'was' FROM recorded")
        assert cursor.fetchall() == [("1",)]


def write_steps(rows: VisibleRows, thread: str, write: Write) -> None:
    """What a graph writes, in every way that LangGraph has: once, again, and over what is there."""
    config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": "", "checkpoint_id": "before"}}
    text = 'it\'s \\ 50% %s "quoted" \u20ac; --'
    nasty = [text, b"\x00\xff'\\", {"deep": [None, -1, 2**40]}]
    first, second = empty_checkpoint(), empty_checkpoint()
    for made in (first, second):
        made["id"] = f"checkpoint {made is second}"
        made["ts"] = "2026-01-01"
    first["channel_values"] = {"text": text, "number": -1, "nothing": None, "several": nasty}
    versions: ChannelVersions = {"text": "1", "several": "2'%", "gone": "3"}
    write(lambda: rows.put(config, first, {"source": "input", "step": -1}, versions))
    write(lambda: rows.put(config, first, {"source": "input", "step": 0, "parents": {"": text}}, versions))
    write(lambda: rows.put(config, second, {"source": "loop", "step": 1}, {}))
    config["configurable"]["checkpoint_id"] = first["id"]
    write(lambda: rows.put_writes(config, [("several", nasty), ("branch:to:it's", None)], "task/1/run", "~path, 50%"))
    write(lambda: rows.put_writes(config, [("several", "late, and left out")], "task/1/run"))
    write(lambda: rows.put_writes(config, [("__error__", "once")], "task/1/run"))
    write(lambda: rows.put_writes(config, [("__error__", "again")], "task/1/run"))


def rows_of(thread: str) -> list[list[Any]]:
    """All that LangGraph's tables have of the thread but its name."""
    found = []
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT to_jsonb({table}) - 'thread_id' FROM {table} WHERE thread_id = %s", [thread])
            found.append(sorted(str(row) for row in cursor.fetchall()))
    return found


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("limit", [graph_writes.MOST_AT_ONCE, 1])
def test_what_is_sent_along_is_what_langgraph_would_store(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """The same rows whether LangGraph executes its statements, or we do, all together or one by one."""
    monkeypatch.setattr(graph_writes, "MOST_AT_ONCE", limit)
    rows, run, writes = VisibleRows(), running(make_thread()), list[GraphWrite]()
    with executors_connection(), transaction.atomic():
        write_steps(rows, "theirs", lambda call: call())
    write_steps(rows, "ours", lambda call: writes.append(GraphWrite(store=rows.recorded(call))))
    put(run, *writes)
    assert [len(found) for found in rows_of("ours")] == [2, 1, 3]
    assert rows_of("ours") == rows_of("theirs")
    finish_with(run)


def test_what_langgraph_stores_last_is_sent_with_the_outcome() -> None:
    """Its rows, the step and the outcome are one round trip."""
    rows, run, writes = VisibleRows(), running(make_thread()), list[GraphWrite]()
    write_steps(rows, str(run.thread_id), lambda call: writes.append(GraphWrite(store=rows.recorded(call))))
    with CaptureQueriesContext(connection) as sent:
        finish_with(run, *writes, make_step(1))
    [together] = [one["sql"] for one in sent.captured_queries if "INSERT INTO checkpoints" in one["sql"]]
    assert all(f"INSERT INTO {name} " in together for name in (*TABLES, '"runs_checkpoint"', '"runs_runevent"'))
    assert [len(found) for found in rows_of(str(run.thread_id))] == [2, 1, 3]


def test_langgraphs_own_statements_see_what_waits() -> None:
    thread = make_thread()
    with atomic():
        later(update(thread, {"metadata": {"a": 1}}))
        with executors_cursor() as cursor:
            found = cursor.execute(
                "SELECT metadata ->> 'a' AS a FROM runs_thread WHERE id = %s", [thread.pk]
            ).fetchone()
    assert found == {"a": "1"}
