"""What a crash can leave behind, found by sweeps and repaired one thread at a time."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Least, Power

from runs.actors import Actor, system
from runs.conf import runs_settings
from runs.locks import clock, lock_dispatched_runs, try_lock_thread
from runs.models import ClockTimestamp, Compared, Run, StatementTimestamp, Worker
from runs.services.lifecycle import executor_gone, time_out_run
from runs.services.sweep import for_each
from runs.services.transition import dispatch_next
from runs.services.workers import bury_worker, expired_workers
from runs.states import Departure, RunStatus
from runs.transactions import atomic

SCHEDULER = system("scheduler")
BATCH = 100


def bury_expired_workers(limit: int | None = BATCH, may_bury: Callable[[], bool] = lambda: True) -> int:
    """Bury the workers whose lease has run out; a renewal that comes first wins. Returns how many were buried.

    `may_bury` is asked before each.
    """
    return for_each(expired_workers(limit), lambda worker_id: may_bury() and bury_worker(worker_id))


def recover_stalled_runs(actor: Actor = SCHEDULER, limit: int | None = BATCH) -> int:
    """Take the leases of buried workers away: their runs go back to the queue, or end, or are settled."""

    def recover(lease: tuple[UUID, int, UUID]) -> Run | None:
        run_id, attempt, worker_id = lease
        return executor_gone(
            run_id=run_id,
            attempt=attempt,
            worker_id=worker_id,
            departure=Departure.CRASH,
            actor=actor,
            detail=f"worker {worker_id} was lost",
        )

    return for_each(stalled_runs().values_list("pk", "attempt", "worker_id")[:limit], recover)


def stalled_runs() -> QuerySet[Run]:
    """Runs that a buried worker holds.

    Looked for among what is held: every process that ever was has left a worker, and each would be a look-up.
    """
    buried = Worker.objects.filter(pk=OuterRef("worker"), buried_at__isnull=False)
    return Run.objects.leased().filter(Compared(Exists(buried)))


def held_by(worker_ids: Collection[UUID]) -> QuerySet[Run]:
    """Runs that one of these workers holds."""
    return Run.objects.leased().filter(worker__in=worker_ids)


def time_out_overdue_runs(actor: Actor = SCHEDULER, limit: int | None = BATCH) -> int:
    """Give overdue runs the status timeout; usually their worker has done so already."""

    def time_out(execution: tuple[UUID, int]) -> Run | None:
        run_id, attempt = execution
        return time_out_run(run_id=run_id, attempt=attempt, actor=actor)

    return for_each(overdue_runs().values_list("pk", "attempt")[:limit], time_out)


def overdue_runs() -> QuerySet[Run]:
    """Runs that execute beyond their time limit."""
    return Run.objects.filter(status=RunStatus.RUNNING, timeout_at__lt=StatementTimestamp())


def dispatch_lost_runs(limit: int | None = BATCH) -> int:
    """Publish what could be claimed now and was not: never published, due since, or published and lost.

    Goes through `dispatch_next` like everybody else, so only the first of a thread's queue is ever published.
    """
    return for_each(lost_threads(limit), _dispatch_thread)


def lost_threads(limit: int | None = BATCH) -> list[UUID]:
    """Threads whose queue should move and does not: nothing leased, a due run, and no fresh dispatch.

    Each unsettled run is read once, in the order of an index: with many thousands waiting this is done every second.
    """
    pending = Q(status=RunStatus.PENDING)
    fresh = pending & Q(dispatched_at__gte=ClockTimestamp() - _patience())
    threads = (
        Run.objects.unsettled()
        .order_by()
        .values("thread_id")
        .annotate(
            held=Count("pk", filter=Q(leased=True)),
            due=Count("pk", filter=pending & is_due()),
            fresh=Count("pk", filter=fresh),
        )
    )
    lost = threads.filter(held=0, due__gt=0, fresh=0)
    return list(lost.values_list("thread_id", flat=True)[:limit])


def startable_runs() -> QuerySet[Run]:
    """Due runs of threads on which nothing is leased; the first of each thread could be claimed now."""
    leased = Run.objects.leased().filter(thread=OuterRef("thread"))
    return Run.objects.filter(is_due(), ~Exists(leased), status=RunStatus.PENDING)


def is_due() -> Q:
    """Of a pending run: it may be claimed now, as far as its schedule goes."""
    return Q(not_before=None) | Q(not_before__lte=ClockTimestamp()) | Q(attempt__gte=1)


def _patience() -> Least:
    """30 s after the first dispatch, doubling with each, at most ten minutes."""
    settings = runs_settings()
    longest = timedelta(seconds=settings.REDISPATCH_MAX_SECONDS)
    factor = Power(Value(2), Least(F("dispatches") - 1, Value(20)))
    return Least(Value(timedelta(seconds=settings.REDISPATCH_SECONDS)) * factor, Value(longest))


def forget_dispatches() -> int:
    """The broker was emptied or away: what was published and not claimed is dispatched anew by the next sweep.

    What is published meanwhile is left alone: it has reached the broker that is there now, and would never end.
    """
    forgotten, then = 0, clock()
    while batch := _forget_batch(then):
        forgotten += batch
    return forgotten


@atomic()
def _forget_batch(until: datetime) -> int:
    return Run.objects.filter(pk__in=lock_dispatched_runs(until, 1000)).update(dispatched_at=None, dispatches=0)


@atomic()
def _dispatch_thread(thread_id: UUID) -> bool:
    locked = try_lock_thread(thread_id)
    if locked is None:
        return False
    first = locked.first_in_queue()
    if first is None or (first.dispatched_at is not None and not _is_stale(first)):
        return False  # somebody else was faster
    return dispatch_next(locked) is not None


def _is_stale(run: Run) -> bool:
    return Run.objects.filter(pk=run.pk, dispatched_at__lt=ClockTimestamp() - _patience()).exists()
