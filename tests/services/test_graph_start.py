"""Where an attempt of a graph starts: at the thread's head, in LangGraph's words."""

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from runs.execution.graphs.rows import VisibleRows
from runs.execution.graphs.start import Start, find_start
from runs.models import Checkpoint, Run, Thread
from runs.models.fields import new_checkpoint_id
from runs.services.graph_checkpoints import GraphCheckpoint, GraphTasks
from runs.services.graph_writes import RootStep
from runs.services.lifecycle import Outcome, finish_run
from runs.states import RunStatus
from tests.support.factories import finish, make_thread, running, stored

pytestmark = pytest.mark.usefixtures("commits", "intact")


def begin(thread: Thread) -> Run:
    """The next run of the thread, claimed."""
    return stored(running(thread))


def end_with_step(run: Run, name: UUID | None = None) -> UUID:
    """End it with a step of a graph, which LangGraph knows as `name`; returns our name of it."""
    rows, ours = VisibleRows(), new_checkpoint_id()
    made = empty_checkpoint() | {"id": str(name or ours)}
    config: RunnableConfig = {"configurable": {"thread_id": str(run.thread_id), "checkpoint_ns": ""}}
    store = rows.recorded(lambda: rows.put(config, made, {"source": "loop", "step": 1}, {}))
    tasks = GraphTasks(next=[], interrupts={}, tasks=[])
    step = GraphCheckpoint(id=ours, parent_id=None, step=1, values={"name": str(ours)}, tasks=tasks)
    outcome = Outcome(status=RunStatus.SUCCESS, keeps_head=True, writes=[RootStep(store=store, checkpoint=step)])
    finish_run(run_id=run.pk, attempt=run.attempt, outcome=outcome)
    return ours


def test_on_a_new_thread_nothing_is_read() -> None:
    run = begin(make_thread())
    assert run.thread.head_id is None
    with CaptureQueriesContext(connection) as asked:
        assert find_start(run, VisibleRows()) == Start(None, None, None, None)
    assert len(asked) == 0
    finish(run)


def test_a_head_that_langgraph_knows_is_read_in_one_round_trip() -> None:
    thread = make_thread()
    head = end_with_step(begin(thread))
    run = begin(thread)
    assert run.thread.head_id == head
    with CaptureQueriesContext(connection) as asked:
        assert find_start(run, VisibleRows()) == Start(head, str(head), None, head, {"name": str(head)})
    assert len(asked) == 1
    finish(run)


def test_a_copy_is_known_by_the_name_of_the_original() -> None:
    thread, original = make_thread(), new_checkpoint_id()
    head = end_with_step(begin(thread), original)
    Checkpoint.objects.filter(pk=head).update(langgraph_id=original)
    run = begin(thread)
    assert find_start(run, VisibleRows()) == Start(head, str(original), None, head, {"name": str(head)})
    finish(run)


def test_behind_what_a_function_has_stored_is_the_last_that_langgraph_knows() -> None:
    thread = make_thread()
    known = end_with_step(begin(thread))
    finish(begin(thread), page=1)
    run = begin(thread)
    found = find_start(run, VisibleRows())
    assert (found.head, found.tip) == (run.thread.head_id, str(known))
    assert found.head != known
    assert found.values == {"name": str(known), "page": 1}
    finish(run)


def test_a_later_attempt_goes_on_at_the_head_with_the_values_from_before_the_run() -> None:
    thread = make_thread()
    before, head = (end_with_step(begin(thread)) for _ in range(2))
    run = begin(thread)
    run.base_id = before
    found = find_start(run, VisibleRows())
    assert (found.tip, found.values) == (str(head), {"name": str(before)})
    finish(run)
