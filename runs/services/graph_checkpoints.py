"""A graph's steps: LangGraph's own rows and ours, written in one fenced transaction.

What LangGraph stores is stored by `store`, which the caller brings along: nothing here knows LangGraph.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from runs.errors import Fenced, ThreadNotFound
from runs.locks import LockedThread, bound_transaction, lock_attempt, lock_thread
from runs.models import Checkpoint, Run, SubgraphCheckpoint
from runs.services.graph_rows import adopt_rows
from runs.services.progress import Report
from runs.services.transition import insert_head, update_run
from runs.statements import Select, execute, update

Store = Callable[[], object]


_SHOWN = Select(
    Checkpoint, "WHERE id = %s AND thread_id = %s", only=("run_id", "next", "interrupts", "tasks", "live_values")
)


@dataclass(frozen=True, kw_only=True)
class GraphTasks:
    """What a graph executes next, as JSON."""

    next: list[str]
    #: task id -> [{"id", "value"}]
    interrupts: dict[str, Any]
    #: As LangGraph's API shows them.
    tasks: list[dict[str, Any]]
    #: The values with what finished tasks have written, if others have not finished; else None.
    live_values: Any = None


@dataclass(frozen=True, kw_only=True)
class GraphCheckpoint:
    """A step of the root graph, as JSON; `id` is LangGraph's."""

    id: UUID
    parent_id: UUID | None
    step: int
    values: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    tasks: GraphTasks


@dataclass(frozen=True, kw_only=True)
class SubgraphStep:
    """A step of a subgraph, as JSON; ids are LangGraph's."""

    namespace: str
    checkpoint_id: UUID
    parent_checkpoint_id: UUID | None
    root: UUID
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
    adopted: Collection[str] = (),
) -> None:
    """Store a step of the root graph and make it the thread's head. Raises Fenced.

    Repeated, because the answer to the commit was lost, it changes nothing.
    `adopted`: steps before it that are not stored; what subgraphs have stored during them belongs to this one.
    """
    locked, run = _lock(run_id, thread_id, attempt)
    store()
    _take(run, report)
    if adopted:
        _adopt(run, checkpoint.id, adopted)
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
    *,
    run_id: UUID,
    thread_id: UUID,
    attempt: int,
    checkpoint_id: UUID,
    tasks: GraphTasks,
    store: Store,
    report: Report | None = None,
) -> None:
    """Store what a task of the root graph has written, and show it on the checkpoint it belongs to. Raises Fenced."""
    _, run = _lock(run_id, thread_id, attempt)
    store()
    _take(run, report)
    (rows,) = execute(_SHOWN(checkpoint_id, thread_id))
    _show(run, next(iter(_SHOWN.load(rows)), None), tasks)


@transaction.atomic(durable=True)
def put_elsewhere(*, run_id: UUID, attempt: int, store: Store) -> None:
    """Store what does not change what the thread shows. Raises Fenced."""
    bound_transaction()
    lock_attempt(run_id, attempt)
    store()


@transaction.atomic(durable=True)
def put_subgraph_checkpoint(*, run_id: UUID, attempt: int, step: SubgraphStep, store: Store) -> None:
    """Store a step of a subgraph. Raises Fenced. Repeated, it changes nothing."""
    bound_transaction()
    run = lock_attempt(run_id, attempt)
    store()
    columns = {**vars(step), **vars(step.tasks), "run": run}
    SubgraphCheckpoint.objects.get_or_create(
        thread_id=run.thread_id,
        namespace=columns.pop("namespace"),
        checkpoint_id=columns.pop("checkpoint_id"),
        defaults=columns,
    )


@transaction.atomic(durable=True)
def put_subgraph_tasks(
    *, run_id: UUID, attempt: int, namespace: str, checkpoint_id: UUID, tasks: GraphTasks, store: Store
) -> None:
    """Store what a task of a subgraph has written, and show it on the checkpoint it belongs to. Raises Fenced."""
    bound_transaction()
    run = lock_attempt(run_id, attempt)
    store()
    of_thread = SubgraphCheckpoint.objects.filter(thread_id=run.thread_id)
    _show(run, of_thread.filter(namespace=namespace, checkpoint_id=checkpoint_id).first(), tasks)


def put_back(run: Run) -> None:
    """Undo what the tasks of a run that is rolled back have changed on checkpoints that others had written."""
    for row_id, found in run.overwritten.items():
        for table in (Checkpoint, SubgraphCheckpoint):
            table.objects.filter(pk=row_id).update(**found)


def _show(run: Run, shown: Checkpoint | SubgraphCheckpoint | None, tasks: GraphTasks) -> None:
    if shown is None:
        return
    row_id = str(shown.pk)
    if shown.run_id != run.pk and row_id not in run.overwritten:
        found = {name: getattr(shown, name) for name in vars(tasks)}
        update_run(run, overwritten={**run.overwritten, row_id: found})
    execute(update(shown, vars(tasks)))


def _adopt(run: Run, root: UUID, former: Collection[str]) -> None:
    SubgraphCheckpoint.objects.filter(run=run, root__in=former).update(root=root)
    adopt_rows(run, root, former)


def _take(run: Run, report: Report | None) -> None:
    if report is not None and (columns := report.columns()):
        update_run(run, **columns)


def _lock(run_id: UUID, thread_id: UUID, attempt: int) -> tuple[LockedThread, Run]:
    try:
        locked = lock_thread(thread_id, deleted=True)
    except ThreadNotFound:  # removed while the executor did not know that it had been given up
        raise Fenced from None
    return locked, lock_attempt(run_id, attempt)
