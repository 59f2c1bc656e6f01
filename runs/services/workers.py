"""Worker processes: their row is the lease of every run they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import TextChoices

from runs.conf import runs_settings
from runs.locks import lock_expired_worker
from runs.models import ClockTimestamp, Run, StatementTimestamp, Worker
from runs.states import RunStatus
from runs.transactions import atomic


class WorkerState(TextChoices):
    """What a worker's row says about its life; the first that fits, from the end."""

    ALIVE = "alive", "renews its lease and takes runs"
    DRAINING = "draining", "renews its lease, finishes what it executes and takes nothing"
    EXPIRED = "expired", "has not renewed its lease: it is about to be buried"
    BURIED = "buried", "has ended, or was declared dead"


def state_of(worker: Worker, now: datetime) -> WorkerState:
    """The worker's state at this time of the database's clock."""
    if worker.buried_at is not None:
        return WorkerState.BURIED
    if worker.expires_at < now:
        return WorkerState.EXPIRED
    return WorkerState.ALIVE if worker.draining_at is None else WorkerState.DRAINING


@dataclass(frozen=True)
class HeldRun:
    """A leased run as the renewal saw it."""

    run_id: UUID
    attempt: int
    status: RunStatus
    overdue: bool


@dataclass(frozen=True)
class Renewal:
    """What a worker's row says when its lease is renewed."""

    draining: bool
    held: list[HeldRun]


def register_worker(*, host: str, version: str, capacity: int, former: UUID | None = None) -> Worker:
    """Begin a worker's life with a fresh boot id and a full lease.

    `former`: the life that the same process has lost. It is drained if that was, and a buried row does not change: an
    operator who looks at a sick machine must not find it at work again because its lease ran out once.
    """
    before = former and Worker.objects.filter(pk=former).first()
    return Worker.objects.create(
        pk=uuid4(),
        host=host,
        version=version,
        capacity=capacity,
        expires_at=ClockTimestamp() + _lease(),
        draining_at=before.draining_at if before else None,
        draining_by=before.draining_by if before else "",
    )


def renew_worker(worker_id: UUID) -> Renewal | None:
    """Renew the lease and return the runs it covers, in one round trip; None: the worker has been buried.

    The times are the database's. A run that is terminal here was cancelled: that is how a worker that heard nothing
    learns of it.
    """
    workers, runs = Worker._meta.db_table, Run._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH renewed AS (UPDATE {workers} SET expires_at = clock_timestamp() + make_interval(secs => %s) "  # noqa: S608 - our own names
            "WHERE id = %s AND buried_at IS NULL RETURNING id, draining_at IS NOT NULL AS is_draining) "
            "SELECT renewed.is_draining, run.id, run.attempt, run.status, run.timeout_at <= clock_timestamp() "
            f"FROM renewed LEFT JOIN {runs} run ON run.worker_id = renewed.id AND run.leased",
            [runs_settings().LEASE_SECONDS, worker_id],
        )
        rows = cursor.fetchall()
    if not rows:
        return None
    held = [
        HeldRun(run_id, attempt, RunStatus(status), bool(late)) for _, run_id, attempt, status, late in rows if run_id
    ]
    return Renewal(draining=rows[0][0], held=held)


@atomic()
def bury_worker(worker_id: UUID) -> bool:
    """Declare an expired worker dead; False if it has renewed meanwhile or somebody else is at it."""
    worker = lock_expired_worker(worker_id)
    if worker is None:
        return False
    Worker.objects.filter(pk=worker.pk).update(buried_at=ClockTimestamp())
    return True


def retire_worker(worker_id: UUID) -> None:
    """End a worker's life in good order; what it still holds is recovered at once instead of after its lease."""
    Worker.objects.filter(pk=worker_id, buried_at=None).update(buried_at=ClockTimestamp())


def expired_workers(limit: int | None = 100) -> Sequence[UUID]:
    """Workers that may be buried."""
    expired = Worker.objects.filter(buried_at=None, expires_at__lt=StatementTimestamp())
    return list(expired.values_list("pk", flat=True)[:limit])


def _lease() -> timedelta:
    return timedelta(seconds=runs_settings().LEASE_SECONDS)
