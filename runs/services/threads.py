"""Threads: create, change, delete. Deletion stops what is in flight first and hides everything at once."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

from runs.actors import Actor
from runs.errors import RunNotFound, ThreadDeleting, ThreadExists, ThreadNotFound
from runs.jsonvalues import check_storable
from runs.locks import LockedThread, lock_thread
from runs.models import Compared, Run, Thread
from runs.services.inserting import insert_if_free
from runs.services.stop import stop_run
from runs.services.transition import release, update_run
from runs.states import CancelAction
from runs.transactions import atomic


@atomic()
def create_thread(
    *,
    actor: Actor,
    thread_id: UUID | None = None,
    metadata: dict[str, Any] | None = None,
    if_exists: Literal["raise", "do_nothing"] = "raise",
) -> Thread:
    """Create a thread, or with `do_nothing` return the one there is, unchanged.

    Raises ThreadExists (also when it belongs to somebody else), ThreadDeleting while its last run is stopping.
    """
    check_storable(metadata or {}, "metadata")
    if thread_id is None:
        return Thread.objects.create(owner=actor.owner, metadata=metadata or {})
    if insert_thread(thread_id, actor, metadata or {}):
        return Thread.objects.get(pk=thread_id)
    if if_exists == "do_nothing" and (mine := Thread.objects.visible_to(actor.owner).filter(pk=thread_id).first()):
        return mine
    raise ThreadExists(f"Thread with ID {thread_id} already exists.")


def insert_thread(thread_id: UUID, actor: Actor, metadata: dict[str, Any]) -> bool:
    """Insert the thread if its id is free and return whether it was; of two callers the second waits for the first.

    Raises ThreadDeleting if the caller's own thread with this id has not gone yet.
    """
    if insert_if_free(Thread(id=thread_id, owner=actor.owner, metadata=metadata)):
        return True
    refuse_while_deleting(thread_id, actor)
    return False


def refuse_while_deleting(thread_id: UUID, actor: Actor) -> None:
    """Raise ThreadDeleting if the caller's own thread with this id has not gone yet."""
    if Thread.objects.filter(Compared(owner=actor.owner, deleted_at__isnull=False), pk=thread_id).exists():
        raise ThreadDeleting


@atomic()
def update_thread(*, thread_id: UUID, actor: Actor, metadata: dict[str, Any]) -> Thread:
    """Merge `metadata` into the thread's, shallowly; null is stored as null. Raises ThreadNotFound."""
    check_storable(metadata, "metadata")
    locked = lock_thread(thread_id, owner=actor.owner)
    thread = locked.thread
    thread.metadata = thread.metadata | metadata
    thread.updated_at = locked.now
    Thread.objects.filter(pk=thread.pk).update(metadata=thread.metadata, updated_at=locked.now)
    return thread


@atomic()
def delete_thread(*, thread_id: UUID, actor: Actor) -> None:
    """Stop what is in flight and hide the thread at once; its rows go when all is settled. Raises ThreadNotFound."""
    locked = lock_thread(thread_id, owner=actor.owner)
    for run in locked.in_flight:
        _stop(locked, run, actor, "thread deleted")
    release(locked)
    Thread.objects.filter(pk=thread_id).update(deleted_at=locked.now, updated_at=locked.now)


def delete_threads(*, thread_ids: Iterable[UUID], actor: Actor) -> int:
    """Delete those of these threads that there are, each in a transaction of its own; return how many there were."""
    deleted = 0
    for thread_id in dict.fromkeys(thread_ids):
        with suppress(ThreadNotFound):
            delete_thread(thread_id=thread_id, actor=actor)
            deleted += 1
    return deleted


@atomic()
def delete_run(*, thread_id: UUID, run_id: UUID, actor: Actor) -> None:
    """Stop the run if it is in flight and hide it at once. Raises ThreadNotFound, RunNotFound."""
    locked = lock_thread(thread_id, owner=actor.owner)
    run = locked.find(run_id) or Run.objects.filter(Compared(thread=thread_id), pk=run_id).first()
    if run is None or run.deleted_at is not None:
        raise RunNotFound
    if run.is_in_flight:
        _stop(locked, run, actor, "run deleted")
    update_run(run, deleted_at=locked.now, updated_at=locked.now)
    release(locked)


def _stop(locked: LockedThread, run: Run, actor: Actor, reason: str) -> None:
    stop_run(locked, run, action=CancelAction.INTERRUPT, actor=actor, reason=reason)
