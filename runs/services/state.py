"""Changing a thread's state by hand: a checkpoint that no run has written."""

from typing import Any
from uuid import UUID

from runs.actors import Actor
from runs.errors import CheckpointNotFound, ThreadBusy
from runs.jsonvalues import check_storable
from runs.locks import LockedThread, lock_thread
from runs.models import Checkpoint
from runs.services.transition import move_head, refresh_thread
from runs.transactions import atomic

_BUSY = "A run is in flight on this thread and writes its state. Wait for it to finish, or cancel it first."


@atomic()
def update_state(
    *, thread_id: UUID, actor: Actor, values: dict[str, Any], checkpoint_id: UUID | None = None
) -> Checkpoint:
    """Merge `values` into the thread's state, or into that of a former checkpoint, and make the result the head.

    Raises ThreadNotFound, CheckpointNotFound, ThreadBusy while a run is in flight. A stopping run hinders nobody: it
    is fenced, and whatever its end had to do to the head was done when it ended.
    """
    check_storable(values, "values")
    locked = lock_thread(thread_id, owner=actor.owner)
    if locked.in_flight:
        raise ThreadBusy(_BUSY)
    parent = _parent(locked, checkpoint_id)
    step = 0 if parent is None else parent.step + 1
    checkpoint = Checkpoint.objects.create(
        thread=locked.thread,
        parent=parent,
        step=step,
        values={**({} if parent is None else parent.values), **values},
        next=[] if parent is None else parent.next,
        metadata={"source": "update", "step": step, "parents": {}, "updated_by": actor.name},
    )
    move_head(locked, checkpoint.pk)
    refresh_thread(locked)
    return checkpoint


def _parent(locked: LockedThread, checkpoint_id: UUID | None) -> Checkpoint | None:
    if checkpoint_id is None:
        return Checkpoint.objects.filter(head_of=locked.thread).first()
    former = Checkpoint.objects.forkable_on(locked.thread, checkpoint_id).first()
    if former is None:
        raise CheckpointNotFound
    return former
