"""Workers as people and programs read them on a terminal."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q

from runs.models import ClockTimestamp, Worker
from runs.services.workers import state_of

COLUMNS = ("worker", "state", "host", "executes", "capacity", "version", "started", "draining_since", "draining_by")


def worker_rows(*, ended: bool, only: Collection[UUID] | None = None) -> list[dict[str, Any]]:
    """One object each, the latest first; `ended`: those that were buried or have left, too; `only` these."""
    workers = Worker.objects.annotate(now=ClockTimestamp(), held=Count("runs", filter=Q(runs__leased=True)))
    if only is not None:
        workers = workers.filter(pk__in=only)
    elif not ended:
        workers = workers.filter(buried_at=None)
    return [_row(worker) for worker in workers.order_by(F("buried_at").desc(nulls_first=True), "-started_at")]


def _row(worker: Any) -> dict[str, Any]:
    return {
        "worker": str(worker.pk),
        "state": state_of(worker, worker.now),
        "host": worker.host,
        "executes": worker.held,
        "capacity": worker.capacity,
        "version": worker.version,
        "started": _time(worker.started_at),
        "lease_until": _time(worker.expires_at),
        "buried": _time(worker.buried_at),
        "draining_since": _time(worker.draining_at),
        "draining_by": worker.draining_by or None,
    }


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
