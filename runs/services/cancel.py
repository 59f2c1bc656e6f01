"""Cancel: the row changes first, the worker is told at once, the fence makes whatever it still does harmless."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from runs import dispatch
from runs.actors import Actor
from runs.errors import NotCancellable, RunNotFound, ThreadNotFound
from runs.locks import LockedThread, lock_run_of_thread, lock_thread
from runs.models import Compared, Run
from runs.services.stop import stop_run
from runs.services.transition import release
from runs.states import CancelAction, RunStatus
from runs.transactions import atomic


@atomic()
def cancel_run(
    *,
    run_id: UUID,
    actor: Actor,
    thread_id: UUID | None = None,
    action: CancelAction = CancelAction.INTERRUPT,
    reason: str = "",
    force: bool = False,
) -> Run:
    """Cancel the run and return it. Idempotent, first wins: a run that is interrupted already stays as it is.

    `force` also tells the worker to kill the executor's process without waiting for the grace period; so it is
    accepted as long as something executes the run, whatever its status.
    Raises RunNotFound, or NotCancellable with the run's `status` if it has succeeded, failed or timed out.
    """
    locked, run = _find(run_id, thread_id, actor)
    cancellable = run.is_in_flight or run.status == RunStatus.INTERRUPTED
    if not cancellable and not (force and run.is_stopping):
        raise NotCancellable(
            f"Run {run.pk} has already ended with status {run.status!r} and cannot be cancelled.", status=run.status
        )
    if run.is_in_flight:
        reason = reason or f"cancelled by {actor.name}"
        stop_run(locked, run, action=CancelAction(action), actor=actor, reason=reason, force=force)
        release(locked)
    if force and run.leased:
        dispatch.force_stop_on_commit(run)
    return run


def _find(run_id: UUID, thread_id: UUID | None, actor: Actor) -> tuple[LockedThread, Run]:
    found = lock_run_of_thread(run_id, deleted=False)
    if found is None:
        raise RunNotFound
    locked, run = found
    stranger = actor.owner is not None and run.owner_id != actor.owner.pk
    elsewhere = thread_id is not None and run.thread_id != thread_id
    if stranger or elsewhere or run.deleted_at is not None:
        raise RunNotFound
    return locked, run


def cancel_runs(
    *,
    actor: Actor,
    thread_id: UUID | None = None,
    run_ids: Iterable[UUID] | None = None,
    statuses: Iterable[RunStatus] = (RunStatus.PENDING, RunStatus.RUNNING),
    action: CancelAction = CancelAction.INTERRUPT,
    reason: str = "",
) -> list[Run]:
    """Cancel the runs in flight that match, one transaction a thread, and return those that this call cancelled.

    A run that has ended meanwhile is left alone. Never waits for two threads at once.
    """
    wanted_statuses = frozenset(statuses)
    conditions: dict[str, Any] = {"status__in": list(wanted_statuses)}
    if thread_id is not None:
        conditions["thread"] = thread_id
    wanted = Run.objects.visible_to(actor.owner)
    if run_ids is None:
        wanted = wanted.filter(**conditions)
    else:
        wanted = wanted.filter(Compared(**conditions), pk__in=list(run_ids))
    by_thread: dict[UUID, set[UUID]] = {}
    for found_thread, found_run in wanted.values_list("thread_id", "pk"):
        by_thread.setdefault(found_thread, set()).add(found_run)
    cancelled: list[Run] = []
    reason = reason or f"cancelled by {actor.name}"
    for found_thread, found_runs in by_thread.items():
        cancelled += _cancel_on_thread(
            found_thread, found_runs, wanted_statuses, actor=actor, action=CancelAction(action), reason=reason
        )
    return cancelled


@atomic()
def _cancel_on_thread(
    thread_id: UUID,
    run_ids: set[UUID],
    statuses: Collection[RunStatus],
    *,
    actor: Actor,
    action: CancelAction,
    reason: str,
) -> list[Run]:
    try:
        locked = lock_thread(thread_id, owner=actor.owner)
    except ThreadNotFound:  # deleted since it was listed
        return []
    cancelled = [run for run in locked.in_flight if run.pk in run_ids and run.status in statuses]
    for run in cancelled:
        stop_run(locked, run, action=action, actor=actor, reason=reason)
    if cancelled:
        release(locked)
    return cancelled
