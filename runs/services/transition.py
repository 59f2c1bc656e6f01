"""The one helper that changes the status of a run, and what every change must leave consistent."""

from typing import Any

from runs import dispatch
from runs.actors import Actor
from runs.errors import IllegalTransition
from runs.locks import LockedThread
from runs.models import Checkpoint, ClockTimestamp, Run, RunEvent, Thread
from runs.services.measure import changed_on_commit
from runs.states import FAILED, TERMINAL, OnCompletion, RunStatus, ThreadStatus, is_legal
from runs.streaming import notify


def change_status(
    locked: LockedThread,
    run: Run,
    to: RunStatus,
    *,
    actor: Actor,
    reason: str = "",
    **columns: Any,
) -> None:
    """Move the run to `to`, write its RunEvent, and set `columns` in the same statement; the thread is locked.

    On commit whoever watches the run is told; a terminal status ends its stream.
    Raises IllegalTransition if the table has no such transition.
    """
    came_from = RunStatus(run.status)
    if not is_legal(came_from, to):
        raise IllegalTransition(f"run {run.pk}: {came_from} -> {to}")
    if to in TERMINAL and came_from not in TERMINAL:
        columns |= {"finished_at": locked.now, "dispatched_at": None}
    update_run(run, status=to, reason=reason or run.reason, updated_at=locked.now, **columns)
    write_event(run, came_from, actor=actor, reason=reason)
    changed_on_commit(run, came_from, locked.now)
    if run.is_terminal and run.on_completion == OnCompletion.DELETE:
        _hide(locked)
    _announce(run)


def _hide(locked: LockedThread) -> None:
    """A stateless run takes its thread with it."""
    Thread.objects.filter(pk=locked.thread.pk, deleted_at=None).update(deleted_at=locked.now)


def _announce(run: Run) -> None:
    if run.is_terminal:
        notify.end_on_commit(run.pk, run.attempt, error=present_error(run.error), last=run.last_frame)
    else:
        notify.wake_on_commit(run)


def update_run(run: Run, **columns: Any) -> None:
    """Write these columns of the run and nothing else; `run` shows them afterwards."""
    Run.objects.filter(pk=run.pk).update(**columns)
    for name, value in columns.items():
        setattr(run, name, value)


def write_event(run: Run, came_from: RunStatus | None, *, actor: Actor, reason: str) -> None:
    """Append to the run's history. The time is the database's at this statement, after the lock was granted."""
    RunEvent.objects.create(
        run=run,
        from_status=came_from,
        to_status=run.status,
        attempt=run.attempt,
        actor=actor.name,
        reason=reason,
        request_id=actor.request_id,
    )


def move_head(locked: LockedThread, head_id: Any) -> None:
    """Make this checkpoint (None: the empty state) the thread's state."""
    thread = locked.thread
    if thread.head_id == head_id:
        return
    Thread.objects.filter(pk=thread.pk).update(head_id=head_id, state_updated_at=ClockTimestamp())
    thread.head_id = head_id


def release(locked: LockedThread) -> None:
    """End a transaction that changed a thread's queue or lease: recompute its status, dispatch what may start now."""
    refresh_thread(locked)
    dispatch_next(locked)


def dispatch_next(locked: LockedThread, *, only: Run | None = None) -> Run | None:
    """Publish, on commit, the run that could be claimed now, and return it; `only`: if it is this one.

    What was published before is published again: a duplicate costs one lost claim, a missing message 30 seconds.
    """
    if locked.leased is not None:
        return None
    first = locked.first_in_queue()
    if first is None or (only is not None and first.pk != only.pk):
        return None
    update_run(first, dispatched_at=locked.now, dispatches=first.dispatches + 1)
    dispatch.publish_on_commit(first)
    return first


def refresh_thread(locked: LockedThread) -> None:
    """Recompute what the thread shows: its status is a function of its runs and its head."""
    thread = locked.thread
    status, error = _thread_status(locked)
    if (thread.status, thread.error) == (status, error):
        return
    Thread.objects.filter(pk=thread.pk).update(status=status, error=error, updated_at=locked.now)
    thread.status, thread.error, thread.updated_at = status, error, locked.now


def _thread_status(locked: LockedThread) -> tuple[ThreadStatus, Any]:
    if locked.in_flight:
        return ThreadStatus.BUSY, locked.thread.error
    finished = Run.objects.filter(thread=locked.thread, finished_at__isnull=False, deleted_at=None)
    last = finished.order_by("-finished_at", "-sequence").only("status", "error").first()
    if last is not None and last.status in FAILED:
        return ThreadStatus.ERROR, present_error(last.error)
    head = Checkpoint.objects.filter(head_of=locked.thread).values_list("next", "interrupts").first()
    return (ThreadStatus.INTERRUPTED if head and any(head) else ThreadStatus.IDLE), None


def present_error(error: Any) -> Any:
    """A run's error as a thread shows it, in LangGraph's shape: {"error": class name, "message"}."""
    if not error:
        return None
    return {"error": error.get("type"), "message": error.get("message")}
