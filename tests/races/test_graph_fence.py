"""What a graph stores is fenced as a function's steps are: what comes after a cancel, or waited behind a rollback, is
refused as a whole, LangGraph's rows with ours."""

from collections.abc import Callable
from typing import Any

import pytest

from runs.errors import Fenced
from runs.models import Checkpoint, Run, SubgraphCheckpoint
from runs.models.fields import new_checkpoint_id
from runs.services.graph_checkpoints import GraphCheckpoint, GraphTasks, SubgraphStep
from runs.services.graph_writes import (
    GraphWrite,
    InnerStep,
    InnerTasks,
    RootStep,
    RootTasks,
    Store,
    put_graph_writes,
)
from runs.states import CancelAction, Departure
from tests.races import windows
from tests.support.factories import cancel, claim, finish, leave, make_thread, running, step

pytestmark = pytest.mark.usefixtures("intact")

#: A write of a graph; `store` stands for what LangGraph stores in the same transaction.
Write = Callable[[Run, Store], None]
TASKS = GraphTasks(next=["node"], interrupts={}, tasks=[])


def put(run: Run, *writes: GraphWrite) -> None:
    """As the executor of this attempt."""
    put_graph_writes(run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt, writes=writes)


def root_step(store: Store, **columns: Any) -> RootStep:
    """A step of the root graph."""
    given = {"id": new_checkpoint_id(), "parent_id": None, "step": 1, "values": {"page": "late"}, "tasks": TASKS}
    return RootStep(store=store, checkpoint=GraphCheckpoint(**given | columns))


def of_the_root(run: Run, store: Store) -> None:
    """A step of the root graph."""
    put(run, root_step(store))


def of_a_task(run: Run, store: Store) -> None:
    """What a task has written beside the head."""
    head = Run.objects.get(pk=run.pk).thread.head_id
    assert head is not None
    put(run, RootTasks(store=store, checkpoint_id=head, tasks=TASKS))


def of_a_subgraph(run: Run, store: Store) -> None:
    """A step of a subgraph."""
    made = SubgraphStep(
        namespace="node:1",
        checkpoint_id=new_checkpoint_id(),
        parent_checkpoint_id=None,
        root=new_checkpoint_id(),
        step=0,
        values={"page": "late"},
        tasks=TASKS,
    )
    put(run, InnerStep(store=store, step=made))


def of_a_subgraphs_task(run: Run, store: Store) -> None:
    """What a task of a subgraph has written."""
    put(run, InnerTasks(store=store, namespace="node:1", checkpoint_id=new_checkpoint_id(), tasks=TASKS))


def elsewhere(run: Run, store: Store) -> None:
    """What changes nothing that the thread shows."""
    put(run, GraphWrite(store=store))


def of_several(run: Run, store: Store) -> None:
    """What a graph has written since the last time."""
    first = root_step(lambda: None)
    tasks = RootTasks(store=lambda: None, checkpoint_id=first.checkpoint.id, tasks=TASKS)
    put(run, first, tasks, root_step(store, parent_id=first.checkpoint.id))


WRITES = [of_the_root, of_a_task, of_a_subgraph, of_a_subgraphs_task, elsewhere, of_several]


def begun() -> Run:
    """A run that has stored a step, on a thread that had a state."""
    thread = make_thread()
    finish(running(thread), page=0)
    run = running(thread, assistant="resumable")
    step(run, page=1)
    return run


def cancelled() -> Run:
    """Its executor does not know it yet."""
    run = begun()
    cancel(run, CancelAction.ROLLBACK)
    return run


def given_up() -> Run:
    """An attempt whose successor has been claimed; the executor still has the former."""
    run = begun()
    leave(run, Departure.CRASH)
    former = Run.objects.get(pk=run.pk)
    claim(run)
    return former


@pytest.mark.parametrize("late", [cancelled, given_up])
@pytest.mark.parametrize("write", WRITES)
def test_an_executor_that_was_given_up_stores_nothing(write: Write, late: Callable[[], Run]) -> None:
    run, stored = late(), list[str]()
    before = Run.objects.get(pk=run.pk).thread.head_id
    rows = count_rows()
    with pytest.raises(Fenced):
        write(run, lambda: stored.append("LangGraph's"))
    assert (stored, Run.objects.get(pk=run.pk).thread.head_id, count_rows()) == ([], before, rows)


def count_rows() -> tuple[int, int]:
    """Steps of root graphs, and of subgraphs."""
    return Checkpoint.objects.count(), SubgraphCheckpoint.objects.count()


@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_waited_behind_a_rollback_stores_nothing(write: Write) -> None:
    stored: list[str] = []
    thread, run, outcome = windows.write_while_rolling_back(lambda run: write(run, lambda: stored.append("late")))
    assert isinstance(outcome, Fenced)
    assert (stored, thread.head_id) == ([], run.base_id)


def test_a_step_that_is_stored_again_because_its_answer_was_lost_is_one_step() -> None:
    run = begun()
    made = root_step(lambda: None, step=2, values={"page": 2})
    for _ in range(2):
        put(run, made)
    stored = Checkpoint.objects.get(pk=made.checkpoint.id)
    assert (stored.parent_id != stored.pk, stored.values, Run.objects.get(pk=run.pk).thread.head_id) == (
        True,
        {"page": 2},
        made.checkpoint.id,
    )
