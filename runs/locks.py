"""The only place that takes row locks.

Order, everywhere: idempotency key, thread, runs by sequence, the rest. `FOR NO KEY UPDATE`: a plain FOR UPDATE would
make every insert of a row that refers to the locked one wait. No transaction waits for the runs of two threads. The one
exception is the drain of a worker (ADR 13), which is to make claims wait.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, cast
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.db.transaction import TransactionManagementError

from runs import metrics
from runs.conf import runs_settings
from runs.errors import AssistantNotFound, Fenced, ThreadNotFound, WorkerNotFound
from runs.models import Assistant, ClockTimestamp, IdempotencyKey, Run, Thread, Worker
from runs.prepared import steady
from runs.statements import Row, Select, Statement, execute, insert
from runs.states import IN_FLIGHT, RunStatus

#: Columns that can be large and that no decision needs.
_LARGE = ("kwargs", "metadata", "usage", "error", "first_message", "last_message", "overwritten")

THREAD_LOCK = FOR_UPDATE = "FOR NO KEY UPDATE"
_THREAD = Select(Thread, "WHERE id = %s")
#: IS TRUE, or the planner would walk the threads of an owner of whom its statistics say that he has none, or, while
#: threads are few, all that are shown.
_SHOWN = "(deleted_at IS NULL) IS TRUE"
_THREAD_SHOWN = Select(Thread, f"WHERE id = %s AND {_SHOWN}")
_THREAD_OWNED = Select(Thread, f"WHERE id = %s AND {_SHOWN} AND (owner_id = %s) IS TRUE")
_OF_RUN = "(SELECT thread_id FROM runs_run WHERE id = %s)"
_UNSETTLED = f"(status IN ({', '.join(repr(str(status)) for status in sorted(IN_FLIGHT))}) OR leased)"
_UNSETTLED_OF = Select(Run, f"WHERE thread_id = %s AND {_UNSETTLED} ORDER BY sequence", without=_LARGE)
_UNSETTLED_BESIDE = Select(Run, f"WHERE thread_id = {_OF_RUN} AND {_UNSETTLED} ORDER BY sequence", without=_LARGE)
_THREAD_OF_RUN = Select(Thread, f"WHERE id = {_OF_RUN}")
_THREAD_OF_RUN_SHOWN = Select(Thread, f"WHERE id = {_OF_RUN} AND {_SHOWN}")
#: By its key alone: asked for a status, too, the planner would look through all that are running.
_RUN = Select(Run, "WHERE id = %s")
CLAIM_LOCK = "FOR KEY SHARE"
_CLAIMANT = Select(Worker, f"WHERE id = %s AND (buried_at IS NULL) IS TRUE {CLAIM_LOCK}", only=("id", "draining_at"))
_CLOCK = Statement("SELECT clock_timestamp()", kept=True)

#: How long those who serve many threads wait for the lock of one.
LOCK_WAIT_SECONDS = 1.0
#: How long a request waits for the lock of its thread: far longer than any transaction of ours holds one.
REQUEST_LOCK_WAIT_SECONDS = 20.0
_bounded: ContextVar[float | None] = ContextVar("runs_bounded_lock_waits", default=None)


@contextmanager
def bounded_lock_waits(seconds: float | None = None) -> Iterator[None]:
    """Within, a transaction that has to wait longer for a thread's lock fails with OperationalError.

    LOCK_WAIT_SECONDS is for the scheduler and the worker's main process, which one held thread must not keep from all
    others. Requests wait longer, but not for ever: each of them has a connection, and they are few.
    """
    token = _bounded.set(LOCK_WAIT_SECONDS if seconds is None else seconds)
    try:
        yield
    finally:
        _bounded.reset(token)


def is_lock_timeout(error: Exception) -> bool:
    """Whether this is how a bounded wait for a lock has ended."""
    return getattr(error.__cause__, "sqlstate", None) == "55P03"


@dataclass
class LockedThread:
    """A thread whose row is locked, with what was read after the lock was granted."""

    thread: Thread
    #: The database's clock after the lock was granted.
    now: datetime
    #: Runs in flight or leased, by sequence.
    runs: list[Run]
    #: What was asked for beside the lock, and read after it was granted.
    beside: list[list[Row]] = field(default_factory=list)

    @property
    def in_flight(self) -> list[Run]:
        """Pending and running runs, by sequence."""
        return [run for run in self.runs if run.status in IN_FLIGHT]

    @property
    def leased(self) -> Run | None:
        """The run that a worker holds, whatever its status."""
        return next((run for run in self.runs if run.leased), None)

    def first_in_queue(self) -> Run | None:
        """The pending run that may be claimed next: the one that has begun, else the due one accepted first."""
        due = [run for run in self.in_flight if run.status == RunStatus.PENDING and run.is_due(self.now)]
        return min(due, key=lambda run: run.queue_key(self.now), default=None)

    def replace(self, run: Run) -> None:
        """Have this instance stand for its row, among the others."""
        self.runs = [run if other.pk == run.pk else other for other in self.runs]

    def find(self, run_id: UUID) -> Run | None:
        """The run with this id, if it is in flight or leased."""
        return next((run for run in self.runs if run.id == run_id), None)


class Confirmation(Protocol):
    """What must still be true for anything to be done; asked for in one message with a lock."""

    @property
    def question(self) -> Statement:
        """What is asked before the lock."""

    def confirm(self, answer: Sequence[Row]) -> None:
        """Hear the answer, before that of the lock; raise if it is not true any more."""


def lock_thread(
    thread_id: UUID, *, owner: Any = None, deleted: bool = False, unconfirmed: Confirmation | None = None
) -> LockedThread:
    """Lock the thread and read its runs, or raise ThreadNotFound (also when it is not `owner`'s).

    `deleted=True` finds a thread that is being deleted, too: its last run must still be able to leave.
    """
    if deleted:
        locked = _take(_THREAD(thread_id), _UNSETTLED_OF(thread_id))
    elif owner is None:
        locked = _take(_THREAD_SHOWN(thread_id), _UNSETTLED_OF(thread_id))
    else:
        locked = _take(_THREAD_OWNED(thread_id, owner.pk), _UNSETTLED_OF(thread_id), unconfirmed=unconfirmed)
    if locked is None:
        raise ThreadNotFound
    return locked


def lock_or_insert_thread(thread: Thread, *, unconfirmed: Confirmation | None = None) -> LockedThread:
    """Insert the thread unless its id is taken, then lock what has this id as its owner; may raise ThreadNotFound.

    Of two callers who insert the same id the second waits for the first.
    """
    lock = _THREAD_OWNED(thread.pk, thread.owner_id)
    locked = _take(lock, _UNSETTLED_OF(thread.pk), first=[insert(thread, if_free=True)], unconfirmed=unconfirmed)
    if locked is None:
        raise ThreadNotFound
    return locked


def _take(
    thread: Statement,
    runs: Statement,
    *beside: Statement,
    manner: str = "",
    first: Sequence[Statement] = (),
    unconfirmed: Confirmation | None = None,
) -> LockedThread | None:
    """Bound the transaction, lock, and read: in one round trip, each after the other."""
    if not connection.in_atomic_block:
        raise TransactionManagementError("A lock lasts as long as its transaction, and there is none.")
    lock = thread._replace(sql=f"{thread.sql} {THREAD_LOCK} {manner}")
    if unconfirmed is not None:
        first = [unconfirmed.question, *first]
    with _measured():
        results = execute(_bounds(), *first, lock, runs, _CLOCK, *beside)
    if unconfirmed is not None:
        unconfirmed.confirm(results[1])
    threads, unsettled, [(now,)], *others = results[1 + len(first) :]
    found = _THREAD.load(threads)
    return LockedThread(found[0], now, _UNSETTLED_OF.load(unsettled), others) if found else None


@contextmanager
def _measured() -> Iterator[None]:
    """The block waits for the lock of a thread, and reads what it protects."""
    began = time.perf_counter()
    try:
        yield
    except OperationalError as error:
        if is_lock_timeout(error):
            metrics.lock_timeouts.inc()
        raise
    metrics.lock_wait.observe(time.perf_counter() - began)


def try_lock_thread(thread_id: UUID) -> LockedThread | None:
    """Lock the thread unless somebody else holds it; None then. For sweeps, which come back later."""
    return _take(_THREAD(thread_id), _UNSETTLED_OF(thread_id), manner="SKIP LOCKED")


def lock_run_of_thread(run_id: UUID, *beside: Statement, deleted: bool = True) -> tuple[LockedThread, Run] | None:
    """Lock the thread of a run and return it with the run as it is under the lock; None if there is no such run."""
    thread = _THREAD_OF_RUN if deleted else _THREAD_OF_RUN_SHOWN
    locked = _take(thread(run_id), _UNSETTLED_BESIDE(run_id), *beside)
    if locked is None:
        return None
    run = locked.find(run_id) or Run.objects.filter(pk=run_id).first()
    return None if run is None else (locked, run)


def lock_attempt(run_id: UUID, attempt: int) -> Run:
    """The fence: lock the run if this attempt is the one that executes, or raise Fenced.

    A lock and not the predicate of an UPDATE on another table: under READ COMMITTED such an UPDATE, having waited for
    a rollback, would re-check only its own table and let a late checkpoint undo the rollback. If the head will move,
    the thread must have been locked before.
    """
    (rows,) = execute(attempts_row(run_id))
    return load_attempt(rows, attempt)


def attempts_row(run_id: UUID) -> Statement:
    """The lock of the fence, for who sends it behind that of the thread; `load_attempt` is the other half."""
    row = _RUN(run_id)
    return row._replace(sql=f"{row.sql} {FOR_UPDATE}")


def load_attempt(rows: Sequence[Row], attempt: int) -> Run:
    """The run that `attempts_row` has locked, if this attempt is the one that executes; else raise Fenced."""
    run = next(iter(_RUN.load(rows)), None)
    if run is None or run.attempt != attempt or run.status != RunStatus.RUNNING:
        raise Fenced
    return run


def lock_held_run(run_id: UUID, attempt: int, worker_id: UUID) -> Run | None:
    """Lock the run if this worker still holds this attempt; for a kill that must not hit anybody else."""
    held = Run.objects.filter(pk=run_id, attempt=attempt, worker_id=worker_id, leased=True)
    bound_transaction()
    return held.select_for_update(no_key=True, of=("self",)).first()


def lock_dispatched_runs(until: datetime, limit: int) -> list[UUID]:
    """Lock runs published until then and not claimed, leaving out those that somebody is working on anyway."""
    bound_transaction()
    runs = Run.objects.filter(status=RunStatus.PENDING, dispatched_at__lte=until)
    locked = runs.select_for_update(no_key=True, skip_locked=True, of=("self",)).order_by("sequence")
    return list(locked.values_list("pk", flat=True)[:limit])


def try_lock_keys(*run_ids: UUID) -> QuerySet[IdempotencyKey] | None:
    """Lock the idempotency keys of these runs; None if somebody else holds one. Before the thread, as a create does."""
    keys = IdempotencyKey.objects.filter(run__in=run_ids).order_by("pk")
    locked = _locked_keys(keys)
    return IdempotencyKey.objects.filter(pk__in=locked) if len(locked) == keys.count() else None


def lock_old_keys(created_before: Any, limit: int) -> QuerySet[IdempotencyKey]:
    """Lock keys of that age, leaving out those that somebody else holds.

    The oldest first: in any other order the planner might look through all that are remembered.
    """
    old = IdempotencyKey.objects.filter(created_at__lt=created_before).order_by("created_at")
    return IdempotencyKey.objects.filter(pk__in=_locked_keys(old, limit))


def _locked_keys(keys: QuerySet[IdempotencyKey], limit: int | None = None) -> list[int]:
    bound_transaction()
    locked = keys.select_for_update(skip_locked=True, of=("self",))
    return list(locked.values_list("pk", flat=True)[:limit])


def lock_assistant(assistant_id: UUID, owner: Any) -> Assistant:
    """Lock an assistant that this owner may see, or raise AssistantNotFound. Nothing else is locked beside it."""
    bound_transaction()
    visible = Assistant.objects.visible_to(owner).select_for_update(no_key=True, of=("self",))
    assistant = visible.filter(pk=assistant_id).first()
    if assistant is None:
        raise AssistantNotFound(f"Assistant with ID {assistant_id} not found")
    return assistant


def lock_user(user: Any) -> None:
    """Lock a user's row, for what is the user's alone: saved views. Nothing else is locked beside it."""
    bound_transaction()
    users = get_user_model()._default_manager.select_for_update(no_key=True, of=("self",))
    users.values("pk").get(pk=user.pk)


def lock_expired_worker(worker_id: UUID) -> Worker | None:
    """Lock a worker's row if its lease has run out and nobody has buried it or is about to; None otherwise."""
    bound_transaction()
    expired = Worker.objects.filter(pk=worker_id, buried_at=None, expires_at__lt=ClockTimestamp())
    return expired.select_for_update(skip_locked=True, no_key=True).first()


def claimants_row(worker_id: UUID) -> Statement:
    """Of a claim, which has locked its thread: the row of the worker that claims, kept as it is until the claim ends.

    FOR KEY SHARE, which the run's reference to its worker takes anyway when the claim commits: a drain waits for it,
    and a renewal does not. Read without it, a claim that began before a drain would win after it.
    """
    return _CLAIMANT(worker_id)


def load_claimant(rows: Sequence[Row]) -> Worker | None:
    """What `claimants_row` has found: id and draining_at; None: the worker is buried, or there is none."""
    return next(iter(_CLAIMANT.load(rows)), None)


def lock_worker(worker_id: UUID) -> Worker:
    """Lock a worker's row against its claims, too, or raise WorkerNotFound. Returns when no claim of it is under way.

    FOR UPDATE on purpose: FOR NO KEY UPDATE would let claims pass. Its renewals wait, so this must be short, also for
    somebody who stands still: who has it loses it before the worker has missed two of them.
    """
    execute(_bounds(idle_seconds=runs_settings().RENEW_SECONDS))
    worker = Worker.objects.filter(pk=worker_id).select_for_update(of=("self",)).first()
    if worker is None:
        raise WorkerNotFound
    return worker


def bound_transaction() -> None:
    """Before the first lock: whoever stands still in the middle of this transaction loses its session, and the locks.

    A process that is stopped, or whose machine is cut off, would keep them for as long as it is: nobody could recover
    its run. Not for the session, which may be an assistant's.
    """
    execute(_bounds())


def _bounds(*, idle_seconds: float | None = None) -> Statement:
    idle = runs_settings().TRANSACTION_IDLE_SECONDS if idle_seconds is None else idle_seconds
    bounds = {"idle_in_transaction_session_timeout": idle}
    if (wait := _bounded.get()) is not None:
        bounds["lock_timeout"] = wait
    return steady({name: f"{seconds * 1000:.0f}ms" for name, seconds in bounds.items()})


def clock() -> datetime:
    """The database's clock, now."""
    [[(now,)]] = execute(_CLOCK)
    return cast(datetime, now)
