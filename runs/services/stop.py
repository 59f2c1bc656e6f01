"""The transition to interrupted, which cancel and displacement share. Rollback is part of it."""

from typing import Any

from runs import dispatch
from runs.actors import Actor
from runs.locks import LockedThread
from runs.models import Run
from runs.services.graph_writes import put_back
from runs.services.transition import change_status, move_head
from runs.states import CancelAction, RunStatus


def stop_run(
    locked: LockedThread,
    run: Run,
    *,
    action: CancelAction,
    actor: Actor,
    reason: str,
    force: bool = False,
    **columns: Any,
) -> None:
    """Make a run in flight interrupted, at once and for good; the lease of a running one stays until it has left.

    Rollback returns the head to the run's base in the same transaction, if any attempt ever began.
    `force`: its process will be killed. The run is not interrupted first, or it might leave, and its process stay.
    """
    restores = action == CancelAction.ROLLBACK and run.attempt >= 1
    change_status(
        locked,
        run,
        RunStatus.INTERRUPTED,
        actor=actor,
        reason=reason,
        cancel_action=action,
        cancelled_by=actor.name,
        cancelled_at=locked.now,
        rolled_back_at=locked.now if restores else None,
        **columns,
    )
    if restores:
        restore(locked, run)
    if not run.leased:
        dispatch.revoke_on_commit(run.pk)
    elif not force:
        dispatch.interrupt_on_commit(run)


def restore(locked: LockedThread, run: Run) -> None:
    """The state is what it was when the run began: the head, and what a graph's tasks had changed in it."""
    put_back(run)
    move_head(locked, run.base_id)
