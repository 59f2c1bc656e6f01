"""What a graph writes: LangGraph's rows and ours, several writes in one fenced transaction.

What LangGraph stores is stored by `store`, which the caller brings along: nothing here knows LangGraph. It executes
statements, or returns them to be sent along with ours.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from runs.errors import Fenced, ThreadNotFound
from runs.locks import LockedThread, bound_transaction, lock_attempt, lock_thread
from runs.models import Checkpoint, Run, SubgraphCheckpoint
from runs.services.graph_checkpoints import GraphCheckpoint, GraphTasks, SubgraphStep
from runs.services.graph_rows import adopt_rows
from runs.services.progress import Report
from runs.services.transition import Moved, new_heads, update_run
from runs.statements import Select, Statement, execute, update
from runs.transactions import atomic, later

Store = Callable[[], "Sequence[Statement] | None"]
#: What one round trip takes of LangGraph's rows: its text is twice as long, and PostgreSQL reads no more than 1 GB.
MOST_AT_ONCE = 16 * 1024 * 1024

_SHOWN = Select(
    Checkpoint, "WHERE id = %s AND thread_id = %s", only=("run_id", "next", "interrupts", "tasks", "live_values")
)


@dataclass(frozen=True, kw_only=True)
class GraphWrite:
    """What changes nothing that the thread shows.

    `store` stores LangGraph's rows in the transaction there is, or returns the statements that do.
    """

    store: Store


@dataclass(frozen=True, kw_only=True)
class RootStep(GraphWrite):
    """A step of the root graph, which becomes the thread's head.

    `adopted`: steps before it that are not stored; what subgraphs have stored during them belongs to this one.
    """

    checkpoint: GraphCheckpoint
    adopted: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class RootTasks(GraphWrite):
    """What a task of the root graph has written, shown on the checkpoint it belongs to."""

    checkpoint_id: UUID
    tasks: GraphTasks


@dataclass(frozen=True, kw_only=True)
class InnerStep(GraphWrite):
    """A step of a subgraph."""

    step: SubgraphStep


@dataclass(frozen=True, kw_only=True)
class InnerTasks(GraphWrite):
    """What a task of a subgraph has written, shown on the checkpoint it belongs to."""

    namespace: str
    checkpoint_id: UUID
    tasks: GraphTasks


@atomic()
def put_graph_writes(
    *, run_id: UUID, thread_id: UUID, attempt: int, writes: Sequence[GraphWrite], report: Report | None = None
) -> None:
    """Store the writes of an attempt in this order, all or nothing. Raises Fenced.

    Repeated, because the answer to the commit was lost, it changes nothing.
    """
    locked = _lock_thread(thread_id) if any(isinstance(one, RootStep | RootTasks) for one in writes) else None
    if locked is None:
        bound_transaction()
    run = lock_attempt(run_id, attempt)
    if report is not None and (columns := report.columns()):
        update_run(run, **columns)
    moved = apply_graph_writes(locked, run, writes)
    later(*moved.statements)
    if locked is not None and moved.columns:
        later(update(locked.thread, moved.columns))


def apply_graph_writes(locked: LockedThread | None, run: Run, writes: Sequence[GraphWrite]) -> Moved:
    """Store them in the transaction that has fenced the run, and locked its thread if one is of the root graph.

    Returns what is still to be written: LangGraph's rows and the steps of the root graph, and the thread's columns.
    """
    unsent = _sent_in_part([statement for write in writes for statement in write.store() or ()])
    if unsent and any(isinstance(write, RootStep) and write.adopted for write in writes):
        execute(*unsent)  # what is adopted may be among them
        unsent = []
    steps: dict[UUID, GraphCheckpoint] = {}
    for write in writes:
        _apply(run, write, steps)
    if locked is None or not steps:
        return Moved(unsent)
    moved = new_heads(locked, _rows(locked, run, steps.values()))
    return moved._replace(statements=[*unsent, *moved.statements])


def _sent_in_part(statements: Sequence[Statement]) -> list[Statement]:
    """Send what one round trip cannot take, in this order; return the rest."""
    unsent, size = list[Statement](), 0
    for statement in statements:
        added = sum(len(value) for value in statement.values if isinstance(value, str | bytes))
        if unsent and size + added > MOST_AT_ONCE:
            execute(*unsent)
            unsent, size = [], 0
        unsent.append(statement)
        size += added
    return unsent


def _apply(run: Run, write: GraphWrite, steps: dict[UUID, GraphCheckpoint]) -> None:
    """`steps`: those of the root graph that are to be inserted, with what their tasks have written since."""
    match write:
        case RootStep(checkpoint=checkpoint, adopted=adopted):
            if adopted:
                _adopt(run, checkpoint.id, adopted)
            steps[checkpoint.id] = checkpoint
        case RootTasks(checkpoint_id=checkpoint_id, tasks=tasks) if checkpoint_id in steps:
            steps[checkpoint_id] = replace(steps[checkpoint_id], tasks=tasks)
        case RootTasks(checkpoint_id=checkpoint_id, tasks=tasks):
            (rows,) = execute(_SHOWN(checkpoint_id, run.thread_id))
            _show(run, next(iter(_SHOWN.load(rows)), None), tasks)
        case InnerStep(step=step):
            _insert_inner_step(run, step)
        case InnerTasks(namespace=namespace, checkpoint_id=checkpoint_id, tasks=tasks):
            of_thread = SubgraphCheckpoint.objects.filter(thread_id=run.thread_id)
            _show(run, of_thread.filter(namespace=namespace, checkpoint_id=checkpoint_id).first(), tasks)


def _rows(locked: LockedThread, run: Run, steps: Iterable[GraphCheckpoint]) -> list[Checkpoint]:
    """A step whose parent LangGraph does not name follows the one before it."""
    rows: list[Checkpoint] = []
    before = locked.thread.head_id
    for step in steps:
        rows.append(
            Checkpoint(
                id=step.id,
                thread=locked.thread,
                parent_id=step.parent_id or before,
                run=run,
                attempt=run.attempt,
                step=step.step,
                values=step.values,
                metadata=step.metadata,
                **vars(step.tasks),
            )
        )
        before = step.id
    return rows


def _insert_inner_step(run: Run, step: SubgraphStep) -> None:
    columns: dict[str, Any] = {**vars(step), **vars(step.tasks), "run": run}
    SubgraphCheckpoint.objects.get_or_create(
        thread_id=run.thread_id,
        namespace=columns.pop("namespace"),
        checkpoint_id=columns.pop("checkpoint_id"),
        defaults=columns,
    )


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
    later(update(shown, vars(tasks)))


def _adopt(run: Run, root: UUID, former: Collection[str]) -> None:
    SubgraphCheckpoint.objects.filter(run=run, root__in=former).update(root=root)
    adopt_rows(run, root, former)


def _lock_thread(thread_id: UUID) -> LockedThread:
    try:
        return lock_thread(thread_id, deleted=True)
    except ThreadNotFound:  # removed while the executor did not know that it had been given up
        raise Fenced from None
