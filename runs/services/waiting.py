"""Why a thread executes nothing, or nothing new: which run is in the way, and what waits behind it. Reads only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, TextChoices

from runs.locks import clock
from runs.models import Run, Worker
from runs.states import IN_FLIGHT, RunStatus

#: More of a thread's queue is not read; RUNS["MAX_QUEUED_RUNS"] keeps it shorter by default.
MAX_SHOWN = 500
_COLUMNS = (
    *("id", "sequence", "thread_id", "assistant", "status", "multitask_strategy", "attempt", "leased", "created_at"),
    *("not_before", "dispatched_at", "dispatches", "started_at", "finished_at", "timeout_at", "timeout_seconds"),
    *("cancelled_by", "cancelled_at", "cancel_action", "reason"),
    *("worker__id", "worker__host", "worker__expires_at", "worker__buried_at"),
)


class Obstacle(TextChoices):
    """What a thread's queue waits for."""

    NOTHING = "nothing", "nothing is in flight"
    RUNNING = "running", "a run executes"
    STOPPING = "stopping", "a run has ended and its executor has not left yet"
    WORKER = "worker", "the next run waits for a free worker"
    NO_WORKER = "no worker", "the next run waits for a worker, and none is alive"
    DRAINING = "draining", "the next run waits for a worker, and all that are alive are drained"
    DISPATCH = "dispatch", "the next run has not been handed to the workers yet"
    TIME = "time", "the next run is scheduled for later"


@dataclass(frozen=True)
class ThreadQueue:
    """A thread's runs that have not settled, in the order in which they get their turn."""

    now: datetime
    obstacle: Obstacle
    #: Since when it is so; None if nothing is in the way.
    since: datetime | None
    #: The run that a worker holds: running or stopping. None: the thread is free.
    holder: Run | None
    #: The pending runs in queue order; the first may be what everything waits for.
    queue: Sequence[Run]

    @property
    def blocking(self) -> Run | None:
        """The run that the others wait for."""
        return self.holder or (self.queue[0] if self.queue else None)

    @property
    def behind(self) -> Sequence[Run]:
        """What waits for it, in queue order."""
        return self.queue if self.holder else self.queue[1:]

    @property
    def is_lost(self) -> bool:
        """Whether the worker that holds the run has not renewed its lease: it will be buried, the run recovered."""
        worker = self.holder.worker if self.holder else None
        return worker is not None and (worker.buried_at is not None or worker.expires_at < self.now)


def thread_queue(thread_id: UUID) -> ThreadQueue:
    """Return what the thread's queue waits for, in three statements at most."""
    unsettled = Run.objects.filter(Q(status__in=sorted(IN_FLIGHT)) | Q(leased=True), thread=thread_id)
    found: Iterable[Run] = unsettled.select_related("worker").only(*_COLUMNS).order_by("sequence")[:MAX_SHOWN]
    now, runs = clock(), list(found)
    holder = next((run for run in runs if run.leased), None)
    pending = [run for run in runs if run.status == RunStatus.PENDING]
    queue = sorted(pending, key=lambda run: run.queue_key(now))
    obstacle, since = _obstacle(holder, queue, now)
    return ThreadQueue(now, obstacle, since, holder, queue)


def _obstacle(holder: Run | None, queue: Sequence[Run], now: datetime) -> tuple[Obstacle, datetime | None]:
    if holder is not None:
        if holder.is_terminal:
            return Obstacle.STOPPING, holder.finished_at
        return Obstacle.RUNNING, attempt_began(holder)
    if not queue:
        return Obstacle.NOTHING, None
    first = queue[0]
    if not first.is_due(now):
        return Obstacle.TIME, first.created_at
    if first.dispatched_at is None:
        return Obstacle.DISPATCH, due_since(first)
    return _lack_of_workers(now), first.dispatched_at


def attempt_began(run: Run) -> datetime | None:
    """When the present attempt was claimed: its time limit was reckoned from then on."""
    return None if run.timeout_at is None else run.timeout_at - timedelta(seconds=run.timeout_seconds)


def due_since(run: Run) -> datetime:
    """From when on the run could have been claimed, as far as its schedule goes."""
    return max(run.created_at, run.not_before or run.created_at)


def _lack_of_workers(now: datetime) -> Obstacle:
    alive = Worker.objects.filter(buried_at=None, expires_at__gte=now)
    drained = alive.order_by(F("draining_at").asc(nulls_first=True)).values_list("draining_at", flat=True)[:1]
    if not drained:
        return Obstacle.NO_WORKER
    return Obstacle.WORKER if drained[0] is None else Obstacle.DRAINING
