"""A graph's steps: LangGraph's own rows and ours, written in one fenced transaction.

What LangGraph stores is stored by `store`, which the caller brings along: nothing here knows LangGraph.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from runs.errors import Fenced, ThreadNotFound
from runs.locks import LockedThread, bound_transaction, lock_attempt, lock_thread
from runs.models import Checkpoint, Run
from runs.services.progress import Report
from runs.services.transition import insert_head, update_run
from runs.statements import Select, execute, update

Store = Callable[[], object]


_SHOWN = Select(Checkpoint, "WHERE id = %s AND thread_id = %s", only=("run_id", "next", "interrupts", "tasks"))


@dataclass(frozen=True, kw_only=True)
class GraphTasks:
    """What a graph executes next, as JSON."""

    next: list[str]
    #: task id -> [{"id", "value"}]
    interrupts: dict[str, Any]
    #: As LangGraph's API shows them.
    tasks: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class GraphCheckpoint:
    """A step of the root graph, as JSON; `id` is LangGraph's."""

    id: UUID
    parent_id: UUID | None
    step: int
    values: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    tasks: GraphTasks


@transaction.atomic(durable=True)
def put_checkpoint(
    *,
    run_id: UUID,
    thread_id: UUID,
    attempt: int,
    checkpoint: GraphCheckpoint,
    store: Store,
    report: Report | None = None,
) -> None:
    """Store a step of the root graph and make it the thread's head. Raises Fenced.

    Repeated, because the answer to the commit was lost, it changes nothing.
    """
    locked, run = _lock(run_id, thread_id, attempt)
    store()
    if report is not None and (columns := report.columns()):
        update_run(run, **columns)
    row = Checkpoint(
        id=checkpoint.id,
        thread=locked.thread,
        parent_id=checkpoint.parent_id or locked.thread.head_id,
        run=run,
        attempt=attempt,
        step=checkpoint.step,
        values=checkpoint.values,
        metadata=checkpoint.metadata,
        **vars(checkpoint.tasks),
    )
    insert_head(locked, row)


@transaction.atomic(durable=True)
def put_tasks(
    *, run_id: UUID, thread_id: UUID, attempt: int, checkpoint_id: UUID, tasks: GraphTasks, store: Store
) -> None:
    """Store what a task of the root graph has written, and show it on the checkpoint it belongs to. Raises Fenced."""
    _, run = _lock(run_id, thread_id, attempt)
    store()
    (rows,) = execute(_SHOWN(checkpoint_id, thread_id))
    for shown in _SHOWN.load(rows):
        if shown.run_id != run.pk and str(checkpoint_id) not in run.overwritten:
            found = {name: getattr(shown, name) for name in vars(tasks)}
            update_run(run, overwritten={**run.overwritten, str(checkpoint_id): found})
        execute(update(shown, vars(tasks)))


@transaction.atomic(durable=True)
def put_elsewhere(*, run_id: UUID, attempt: int, store: Store) -> None:
    """Store what does not change what the thread shows, such as a subgraph's step. Raises Fenced."""
    bound_transaction()
    lock_attempt(run_id, attempt)
    store()


def put_back(run: Run) -> None:
    """Undo what the tasks of a run that is rolled back have changed on checkpoints that others had written."""
    for checkpoint_id, found in run.overwritten.items():
        Checkpoint.objects.filter(pk=checkpoint_id).update(**found)


def _lock(run_id: UUID, thread_id: UUID, attempt: int) -> tuple[LockedThread, Run]:
    try:
        locked = lock_thread(thread_id, deleted=True)
    except ThreadNotFound:  # removed while the executor did not know that it had been given up
        raise Fenced from None
    return locked, lock_attempt(run_id, attempt)
