"""What a graph stores is fenced as a function's steps are: what comes after a cancel, or waited behind a rollback, is
refused as a whole, LangGraph's rows with ours."""

from collections.abc import Callable

import pytest

from runs.errors import Fenced
from runs.models import Checkpoint, Run, SubgraphCheckpoint
from runs.models.fields import new_checkpoint_id
from runs.services.graph_checkpoints import (
    GraphCheckpoint,
    GraphTasks,
    SubgraphStep,
    put_checkpoint,
    put_elsewhere,
    put_subgraph_checkpoint,
    put_subgraph_tasks,
    put_tasks,
)
from runs.states import CancelAction, Departure
from tests.races import windows
from tests.support.factories import cancel, claim, finish, leave, make_thread, running, step

pytestmark = pytest.mark.usefixtures("intact")

#: A write of a graph; `store` stands for what LangGraph stores in the same transaction.
Write = Callable[[Run, Callable[[], object]], None]
TASKS = GraphTasks(next=["node"], interrupts={}, tasks=[])


def of_the_root(run: Run, store: Callable[[], object]) -> None:
    """A step of the root graph."""
    made = GraphCheckpoint(id=new_checkpoint_id(), parent_id=None, step=1, values={"page": "late"}, tasks=TASKS)
    put_checkpoint(run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt, checkpoint=made, store=store)


def of_a_task(run: Run, store: Callable[[], object]) -> None:
    """What a task has written beside the head."""
    head = Run.objects.get(pk=run.pk).thread.head_id
    assert head is not None
    put_tasks(
        run_id=run.pk,
        thread_id=run.thread_id,
        attempt=run.attempt,
        checkpoint_id=head,
        tasks=TASKS,
        store=store,
    )


def of_a_subgraph(run: Run, store: Callable[[], object]) -> None:
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
    put_subgraph_checkpoint(run_id=run.pk, attempt=run.attempt, step=made, store=store)


def of_a_subgraphs_task(run: Run, store: Callable[[], object]) -> None:
    """What a task of a subgraph has written."""
    put_subgraph_tasks(
        run_id=run.pk,
        attempt=run.attempt,
        namespace="node:1",
        checkpoint_id=new_checkpoint_id(),
        tasks=TASKS,
        store=store,
    )


def elsewhere(run: Run, store: Callable[[], object]) -> None:
    """What changes nothing that the thread shows."""
    put_elsewhere(run_id=run.pk, attempt=run.attempt, store=store)


WRITES = [of_the_root, of_a_task, of_a_subgraph, of_a_subgraphs_task, elsewhere]


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
    made = GraphCheckpoint(id=new_checkpoint_id(), parent_id=None, step=2, values={"page": 2}, tasks=TASKS)
    for _ in range(2):
        put_checkpoint(run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt, checkpoint=made, store=lambda: None)
    stored = Checkpoint.objects.get(pk=made.id)
    assert (stored.parent_id != stored.pk, stored.values, Run.objects.get(pk=run.pk).thread.head_id) == (
        True,
        {"page": 2},
        made.id,
    )
