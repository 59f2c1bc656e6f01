"""Checkpoints: the durable steps of an attempt, written in the transaction that moves the thread's head."""

from typing import Any
from uuid import UUID

from runs.errors import CheckpointNotFound, Fenced, ThreadNotFound
from runs.jsonvalues import check_storable
from runs.locks import LockedThread, lock_attempt, lock_thread
from runs.models import Checkpoint, Compared, Run
from runs.models.fields import new_checkpoint_id
from runs.services.progress import Report
from runs.services.transition import insert_heads, update_run
from runs.statements import Select, execute
from runs.transactions import atomic

_HEAD = Select(Checkpoint, "WHERE id = %s")


@atomic()
def write_checkpoint(
    *,
    run_id: UUID,
    thread_id: UUID,
    attempt: int,
    delta: dict[str, Any],
    report: Report | None = None,
    checkpoint_id: UUID | None = None,
) -> Checkpoint:
    """Merge `delta` into the thread's state as a new head. Raises Fenced if the attempt no longer owns the run.

    Repeated with the same `checkpoint_id`, because the answer to the commit was lost, it returns the step it stored.
    The thread is locked first, then the run by its attempt: a write that waited behind a rollback finds itself fenced.
    """
    check_storable(delta, "yielded value")
    try:
        locked = lock_thread(thread_id, deleted=True)
    except ThreadNotFound:  # removed while the executor did not know that it had been given up
        raise Fenced from None
    run = lock_attempt(run_id, attempt)
    if report is not None and (columns := report.columns()):
        update_run(run, **columns)
    if checkpoint_id is not None and (stored := Checkpoint.objects.filter(Compared(run=run), pk=checkpoint_id).first()):
        return stored
    checkpoint = next_checkpoint(locked, run, delta, upcoming=[run.assistant], checkpoint_id=checkpoint_id)
    insert_heads(locked, [checkpoint])
    return checkpoint


def next_checkpoint(
    locked: LockedThread,
    run: Run,
    delta: dict[str, Any],
    *,
    upcoming: list[str],
    checkpoint_id: UUID | None = None,
) -> Checkpoint:
    """The checkpoint that follows the run's starting point; it is not stored yet."""
    parent = starting_checkpoint(locked.thread.head_id, run)
    step = 0 if parent is None else parent.step + 1
    return Checkpoint(
        id=checkpoint_id or new_checkpoint_id(),
        thread=locked.thread,
        parent=parent,
        run=run,
        attempt=run.attempt,
        step=step,
        values={**({} if parent is None else parent.values), **delta},
        next=upcoming,
        metadata=_metadata(run, step),
    )


def starting_checkpoint(head_id: UUID | None, run: Run) -> Checkpoint | None:
    """The checkpoint an attempt continues from: the head, or the fork it was created with if it has not moved yet.

    Raises CheckpointNotFound if the fork was given up while the run waited.
    """
    forked = run.kwargs.get("checkpoint_id")
    if forked is None or head_id != run.base_id:
        return None if head_id is None else _read_head(head_id)
    start = Checkpoint.objects.forkable_on(run.thread_id, forked).first()
    if start is None:
        raise CheckpointNotFound
    return start


def _read_head(head_id: UUID) -> Checkpoint | None:
    (rows,) = execute(_HEAD(head_id))
    return next(iter(_HEAD.load(rows)), None)


def _metadata(run: Run, step: int) -> dict[str, Any]:
    return {
        "source": "loop",
        "step": step,
        "parents": {},
        "run_id": str(run.pk),
        "run_attempt": run.attempt,
        "graph_id": run.assistant,
    }
