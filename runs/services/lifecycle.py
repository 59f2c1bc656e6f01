"""The life of an attempt: claim, finish, time out, and the end of its lease. Every step is fenced by the attempt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from runs import dispatch
from runs.actors import Actor, system
from runs.assistants import registry
from runs.errors import Fenced, UnknownAssistant, WorkerDraining
from runs.locks import (
    LockedThread,
    attempts_row,
    claimants_row,
    load_attempt,
    load_claimant,
    lock_run_of_thread,
)
from runs.models import Checkpoint, Run
from runs.services import results
from runs.services.checkpoints import next_checkpoint
from runs.services.graph_writes import GraphWrite, apply_graph_writes
from runs.services.measure import left_on_commit, recovered_on_commit
from runs.services.progress import Report
from runs.services.transition import (
    Moved,
    Shown,
    change_status,
    dispatch_next,
    finished_beside,
    last_of,
    move_head,
    new_heads,
    release,
    update_run,
    write_event,
)
from runs.statements import Select
from runs.states import FAILED, Departure, RunStatus
from runs.streaming import notify
from runs.transactions import atomic, later

_WHOLE = Select(Run, "WHERE id = %s")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended by itself: success with what is left to merge into the state, or error.

    `keeps_head`: what is to be done next is in the head already, also after success: a graph may wait for an answer.
    """

    status: RunStatus
    keeps_head: bool = False
    values: dict[str, Any] | None = None
    #: What a graph has written last, stored with the outcome.
    writes: Sequence[GraphWrite] = ()
    error: dict[str, Any] | None = None


@atomic()
def claim_run(*, run_id: UUID, worker_id: UUID) -> Run | None:
    """Turn the pending run into a running attempt that this worker holds, or return None: somebody else was faster.

    Wins only if the run is first in its thread's queue, nothing is leased on the thread and the worker is not buried.
    Raises WorkerDraining if only the worker's drain is in the way. Nothing is published then, or a worker that still
    consumes would be sent its own refusals: whoever calls hands the run over when it takes no messages any more.
    """
    found = lock_run_of_thread(run_id, claimants_row(worker_id), _WHOLE(run_id))
    if found is None:
        return None
    locked, run = found
    if locked.leased is not None:
        return None
    first = locked.first_in_queue()
    claimant, whole = locked.beside
    worker = load_claimant(claimant)
    if first is None or first.pk != run.pk or worker is None:
        dispatch_next(locked)
        return None
    if worker.draining_at is not None:
        raise WorkerDraining
    [run] = _WHOLE.load(whole)
    run.thread = locked.thread
    locked.replace(run)
    _begin_attempt(locked, run, worker_id)
    return run


def _begin_attempt(locked: LockedThread, run: Run, worker_id: UUID) -> None:
    change_status(
        locked,
        run,
        RunStatus.RUNNING,
        actor=system("worker"),
        reason=f"claimed by worker {worker_id}",
        attempt=run.attempt + 1,
        leased=True,
        worker_id=worker_id,
        timeout_at=locked.now + timedelta(seconds=run.timeout_seconds),
        dispatched_at=None,
        dispatches=0,
        **_starting_point(locked, run),
    )


def _starting_point(locked: LockedThread, run: Run) -> dict[str, Any]:
    """A first attempt records the head as the run's base; a later one returns to it unless it can resume.

    Base is recorded once: recorded at every claim, a rollback of the second attempt would keep the first one's steps.
    """
    if run.attempt == 0:
        return {"base_id": locked.thread.head_id, "started_at": locked.now}
    if _is_resumable(run.assistant):
        return {}
    move_head(locked, run.base_id)
    return {"kept_from_attempt": run.attempt + 1}


def _is_resumable(name: str) -> bool:
    try:
        return registry.get(name).resumable
    except UnknownAssistant:
        return False


@atomic()
def finish_run(
    *,
    run_id: UUID,
    attempt: int,
    outcome: Outcome,
    report: Report | None = None,
    left: bool = True,
    reason: str = "finished",
    last_frame: int | None = None,
    is_heard: bool = False,
) -> Run:
    """End the attempt with its outcome, release the lease and dispatch the successor: one fenced transaction.

    `left` False: the assistant has returned but threads or tasks of its are alive, which `reason` says; the lease
    stays until its process has gone.
    `last_frame`: the number of the last frame of its stream. `is_heard`: somebody listens to what is announced.
    Raises Fenced if the attempt no longer owns the run; nothing has changed then.
    """
    found = lock_run_of_thread(run_id, attempts_row(run_id), finished_beside(run_id))
    if found is None:
        raise Fenced
    locked, _ = found
    attempts, before = locked.beside
    run = load_attempt(attempts, attempt)
    locked.replace(run)
    moved = _complete_state(locked, run, outcome)
    later(*moved.statements)
    reported = report.columns() if report else {}
    change_status(
        locked,
        run,
        outcome.status,
        actor=system("worker"),
        reason=reason,
        result=_what_it_answers(outcome, moved) if is_heard else None,
        last_frame=last_frame,
        error=outcome.error,
        leased=not left,
        **reported,
    )
    last = last_of(run, before)
    is_known = moved.head is not None or last.status in FAILED
    release(locked, Shown(last, moved.head) if is_known else None, **moved.columns)
    return run


def _complete_state(locked: LockedThread, run: Run, outcome: Outcome) -> Moved:
    """A successful run leaves a head that waits for nothing."""
    if outcome.writes:
        return apply_graph_writes(locked, run, outcome.writes)
    if outcome.status != RunStatus.SUCCESS or outcome.keeps_head:
        return Moved()
    if outcome.values is None and not _waits_for_something(locked.thread.head_id):
        return Moved()
    return new_heads(locked, [next_checkpoint(locked, run, outcome.values or {}, upcoming=[])])


def _what_it_answers(outcome: Outcome, moved: Moved) -> Callable[[], str | None] | None:
    """The head that it has just written; None: it has not, and nobody knows without asking."""
    if outcome.status != RunStatus.SUCCESS or moved.head is None:
        return None
    return partial(results.carried, moved.head)


def _waits_for_something(head_id: UUID | None) -> bool:
    head = None if head_id is None else Checkpoint.objects.filter(pk=head_id).only("next").first()
    return head is not None and bool(head.next)


@atomic()
def time_out_run(*, run_id: UUID, attempt: int, actor: Actor) -> Run | None:
    """Give an overdue attempt the status timeout and have it interrupted; None if it is not overdue any more."""
    found = lock_run_of_thread(run_id)
    if found is None:
        return None
    locked, run = found
    executing = run.status == RunStatus.RUNNING and run.attempt == attempt
    if not executing or run.timeout_at is None or run.timeout_at > locked.now:
        return None
    message = f"The run exceeded its time limit of {run.timeout_seconds:g} seconds."
    error = {"type": "RunTimedOut", "message": message, "traceback": ""}
    change_status(locked, run, RunStatus.TIMEOUT, actor=actor, reason="time limit exceeded", error=error)
    dispatch.interrupt_on_commit(run)
    release(locked)
    return run


@atomic()
def executor_gone(
    *,
    run_id: UUID,
    attempt: int,
    worker_id: UUID,
    departure: Departure,
    actor: Actor,
    report: Report | None = None,
    detail: str = "",
) -> Run | None:
    """End the lease of an attempt that nothing executes any more, and do what its row asks.

    A terminal run is settled. A running one goes back to pending, or ends as `attempts_exhausted`: a crash counts
    towards that, and so does an executor that has left without being able to say how its attempt ended. The head does
    not move. Returns None if this worker does not hold this attempt any more.
    """
    found = lock_run_of_thread(run_id)
    if found is None:
        return None
    locked, run = found
    if not run.leased or run.attempt != attempt or run.worker_id != worker_id:
        return None
    if report is not None:
        update_run(run, **report.columns())
    if run.is_terminal:
        _settle(locked, run, actor, detail or departure)
    else:
        _hand_back(locked, run, departure, actor, detail)
    release(locked)
    return run


def _settle(locked: LockedThread, run: Run, actor: Actor, how: str) -> None:
    update_run(run, leased=False)
    left_on_commit(run, locked.now)
    write_event(run, RunStatus(run.status), actor=actor, reason=f"settled: {how}")
    notify.wake_on_commit(run)


def _hand_back(locked: LockedThread, run: Run, departure: Departure, actor: Actor, detail: str) -> None:
    # An operator ends one process once; a run whose process is asked to go again and again does that itself.
    asks_itself = departure == Departure.TERMINATED and run.attempt > run.max_attempts
    counts = departure in (Departure.CRASH, Departure.LEFT) or asks_itself
    crashes = run.crashes + counts
    reason = f"{departure}: {detail}" if detail else str(departure)
    if crashes < run.max_attempts:
        change_status(
            locked, run, RunStatus.PENDING, actor=actor, reason=reason, leased=False, crashes=crashes, timeout_at=None
        )
        recovered_on_commit(departure)
        return
    message = f"The run's worker was lost {crashes} times; it is not tried again. Last: {reason}"
    change_status(
        locked,
        run,
        RunStatus.ERROR,
        actor=actor,
        reason="attempts_exhausted",
        leased=False,
        crashes=crashes,
        error={"type": "attempts_exhausted", "message": message, "traceback": ""},
    )
