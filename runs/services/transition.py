"""The one helper that changes the status of a run, and what every change must leave consistent."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Model

from runs import dispatch
from runs.actors import Actor
from runs.errors import IllegalTransition
from runs.locks import LockedThread
from runs.models import Checkpoint, Run, RunEvent, Thread
from runs.services.measure import changed_on_commit
from runs.statements import Row, Select, Statement, execute, insert, update
from runs.states import FAILED, TERMINAL, OnCompletion, RunStatus, ThreadStatus, is_legal
from runs.streaming import notify
from runs.transactions import later

_OF_RUN = "(SELECT thread_id FROM runs_run WHERE id = %s)"
_LATEST = "AND finished_at IS NOT NULL AND deleted_at IS NULL ORDER BY finished_at DESC, sequence DESC LIMIT 1"
_LAST_COLUMNS = ("status", "error", "finished_at", "sequence")
_LAST_FINISHED = Select(Run, f"WHERE thread_id = %s {_LATEST}", only=_LAST_COLUMNS)
_LAST_FINISHED_BESIDE = Select(Run, f"WHERE thread_id = {_OF_RUN} {_LATEST}", only=_LAST_COLUMNS)
_HEAD = Select(Checkpoint, "WHERE id = %s", only=("next", "interrupts"))


class Moved(NamedTuple):
    """What moves a thread's head: what inserts it, and the thread's columns. All empty: it stays."""

    statements: Sequence[Statement] = ()
    columns: Mapping[str, Any] = MappingProxyType({})
    head: Checkpoint | None = None


class Shown(NamedTuple):
    """What decides the status of a thread without runs in flight: the run that has finished last, and the head."""

    last: Run | None
    head: Checkpoint | None


def change_status(
    locked: LockedThread,
    run: Run,
    to: RunStatus,
    *,
    actor: Actor,
    reason: str = "",
    result: Callable[[], str | None] | None = None,
    **columns: Any,
) -> None:
    """Move the run to `to`, write its RunEvent, and set `columns` in the same statement; the thread is locked.

    On commit whoever watches the run is told; a terminal status ends its stream, and `result` is asked what it answers.
    Raises IllegalTransition if the table has no such transition.
    """
    came_from = RunStatus(run.status)
    if not is_legal(came_from, to):
        raise IllegalTransition(f"run {run.pk}: {came_from} -> {to}")
    if to in TERMINAL and came_from not in TERMINAL:
        columns |= {"finished_at": locked.now, "dispatched_at": None}
    changed = {"status": to, "reason": reason or run.reason, "updated_at": locked.now, **columns}
    _show(run, changed)
    later(update(run, changed), _event(run, came_from, actor=actor, reason=reason))
    changed_on_commit(run, came_from, locked.now)
    if run.is_terminal and run.on_completion == OnCompletion.DELETE:
        _hide(locked)
    _announce(run, result)


def _hide(locked: LockedThread) -> None:
    """A stateless run takes its thread with it."""
    if locked.thread.deleted_at is None:
        _update_thread(locked, deleted_at=locked.now)


def _announce(run: Run, result: Callable[[], str | None] | None) -> None:
    if run.is_terminal:
        # Asked of others it would be read for this alone: it is one of the large columns.
        error = present_error(run.error) if run.status in FAILED else None
        notify.end_on_commit(run.pk, run.attempt, error=error, last=run.last_frame, result=result)
    else:
        notify.wake_on_commit(run)


def update_run(run: Run, **columns: Any) -> None:
    """Write these columns of the run and nothing else; `run` shows them afterwards."""
    if columns:
        later(update(run, columns))
        _show(run, columns)


def _show(row: Model, columns: Mapping[str, Any]) -> None:
    for name, value in columns.items():
        setattr(row, name, value)


def write_event(run: Run, came_from: RunStatus | None, *, actor: Actor, reason: str) -> None:
    """Append to the run's history. The time is the database's at this statement, after the lock was granted."""
    later(_event(run, came_from, actor=actor, reason=reason))


def insert_run(locked: LockedThread, run: Run, *, actor: Actor, reason: str, **columns: Any) -> None:
    """Insert the pending run with the first event of its history, and what its thread shows now, `columns` as well.

    The run shows its place in the order of runs when it has been sent, at the latest after the commit.
    """
    if locked.thread.status != ThreadStatus.BUSY:
        columns["status"] = ThreadStatus.BUSY
    if columns:
        columns["updated_at"] = locked.now
    later(insert(run, returning="sequence"), then=partial(_show_sequence, run))
    later(_event(run, None, actor=actor, reason=reason))
    if columns:
        later(update(locked.thread, columns))
    _show(locked.thread, columns)
    locked.runs.append(run)


def _show_sequence(run: Run, rows: Any) -> None:
    [[(run.sequence,)]] = rows


def _event(run: Run, came_from: RunStatus | None, *, actor: Actor, reason: str) -> Statement:
    return insert(
        RunEvent(
            run_id=run.pk,
            from_status=came_from,
            to_status=run.status,
            attempt=run.attempt,
            actor=actor.name,
            reason=reason,
            request_id=actor.request_id,
        )
    )


def move_head(locked: LockedThread, head_id: Any) -> None:
    """Make this checkpoint (None: the empty state) the thread's state."""
    if locked.thread.head_id != head_id:
        _update_thread(locked, head_id=head_id, state_updated_at=locked.now)


def insert_heads(locked: LockedThread, checkpoints: Sequence[Checkpoint]) -> None:
    """Insert the checkpoints, unless an earlier try has, and make the last of them the thread's state."""
    moved = new_heads(locked, checkpoints)
    later(*moved.statements, update(locked.thread, moved.columns))


def new_heads(locked: LockedThread, checkpoints: Sequence[Checkpoint]) -> Moved:
    """As `insert_heads`, for who writes the thread anyway."""
    columns = {"head_id": checkpoints[-1].pk, "state_updated_at": locked.now}
    _show(locked.thread, columns)
    return Moved([insert(one, if_free=True) for one in checkpoints], columns, checkpoints[-1])


def release(locked: LockedThread, shown: Shown | None = None, **columns: Any) -> None:
    """End a transaction that changed a thread's queue or lease: recompute its status, dispatch what may start now.

    `shown`: as it is after the last change, if that is known. `columns` of the thread are written as well.
    """
    refresh_thread(locked, shown, **columns)
    dispatch_next(locked)


def dispatch_next(locked: LockedThread) -> Run | None:
    """Publish, on commit, the run that could be claimed now, and return it.

    What was published before is published again: a duplicate costs one lost claim, a missing message 30 seconds.
    """
    if locked.leased is not None:
        return None
    first = locked.first_in_queue()
    if first is None:
        return None
    update_run(first, dispatched_at=locked.now, dispatches=first.dispatches + 1)
    dispatch.publish_on_commit(first)
    return first


def refresh_thread(locked: LockedThread, shown: Shown | None = None, **columns: Any) -> None:
    """Recompute what the thread shows: its status is a function of its runs and its head. Write `columns` as well."""
    thread = locked.thread
    status, error = _thread_status(locked, shown)
    if (thread.status, thread.error) != (status, error):
        columns |= {"status": status, "error": error}
    if columns:
        _update_thread(locked, updated_at=locked.now, **columns)


def _update_thread(locked: LockedThread, **columns: Any) -> None:
    later(update(locked.thread, columns))
    _show(locked.thread, columns)


def finished_beside(run_id: UUID) -> Statement:
    """The run of the same thread that has finished last; for who finishes this one. `last_of` is the other half."""
    return _LAST_FINISHED_BESIDE(run_id)


def last_of(finished: Run, before: Sequence[Row]) -> Run:
    """Which has finished last: this one, which has just finished, unless the clock was set back meanwhile."""
    return max([finished, *_LAST_FINISHED.load(before)], key=lambda run: (run.finished_at, run.sequence))


def _read_shown(thread: Thread) -> Shown:
    runs, heads = execute(_LAST_FINISHED(thread.pk), _HEAD(thread.head_id))
    return Shown(next(iter(_LAST_FINISHED.load(runs)), None), next(iter(_HEAD.load(heads)), None))


def _thread_status(locked: LockedThread, shown: Shown | None) -> tuple[ThreadStatus, Any]:
    if locked.in_flight:
        return ThreadStatus.BUSY, locked.thread.error
    last, head = shown or _read_shown(locked.thread)
    if last is not None and last.status in FAILED:
        return ThreadStatus.ERROR, present_error(last.error)
    waits = head is not None and (head.next or head.interrupts)
    return (ThreadStatus.INTERRUPTED if waits else ThreadStatus.IDLE), None


def present_error(error: Any) -> Any:
    """A run's error as a thread shows it, in LangGraph's shape: {"error": class name, "message"}."""
    if not error:
        return None
    return {"error": error.get("type"), "message": error.get("message")}
