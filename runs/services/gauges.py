"""What the rows say about now, for a scrape: the cost grows with what is in flight, never with what has been."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Coalesce

from runs.locks import clock
from runs.models import ClockTimestamp, Run, Worker
from runs.services.recover import stalled_runs, startable_runs
from runs.states import TERMINAL, RunStatus

#: A scrape gives up on the database after this long, and several within this long read it once.
STATEMENT_SECONDS, KEPT_SECONDS = 2.0, 5.0

#: Name of a gauge, what it means.
TEXTS = {
    "runyard_database_up": "Whether the database has answered the questions behind the gauges below.",
    "runyard_runs_pending": "Runs that wait: for a worker, for their turn on their thread, or until they are due.",
    "runyard_runs_scheduled": "Of these, runs that are not due yet.",
    "runyard_runs_startable": "Of these, due runs on threads on which nothing is executed.",
    "runyard_runs_running": "Runs that are being executed.",
    "runyard_runs_stopping": "Runs that have ended and whose executor has not left yet.",
    "runyard_oldest_pending_seconds": "For how long the oldest due run has been waiting, for whatever reason.",
    "runyard_oldest_startable_seconds": "For how long the oldest run has been waiting for nothing but a worker.",
    "runyard_leases_stalled": "Runs held by a worker that is lost; they wait for the scheduler.",
    "runyard_workers_alive": "Workers whose lease is good.",
    "runyard_workers_draining": "Of these, workers that are drained: they finish what they execute and take nothing.",
    "runyard_workers_expired": "Workers whose lease has run out and that the scheduler has not buried yet.",
    "runyard_workers_capacity": "Runs that the living workers that are not drained can execute at the same time.",
}


class _Kept:
    """The last answer, for those who ask again at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until, self._answer = 0.0, dict[str, float]()

    def get(self, read: Callable[[], dict[str, float]]) -> dict[str, float]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._answer = read()
                self._until = time.monotonic() + KEPT_SECONDS
            return self._answer

    def forget(self) -> None:
        self._until = 0.0


kept = _Kept()


def gauges() -> dict[str, float]:
    """Name -> value, of TEXTS; only `runyard_database_up` 0 if the database does not answer in time."""
    return kept.get(_read)


def _read() -> dict[str, float]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{STATEMENT_SECONDS * 1000:.0f}ms"])
            return {"runyard_database_up": 1.0, **_runs(), **_workers()}
    except (DatabaseError, InterfaceError):
        return {"runyard_database_up": 0.0}


def _runs() -> dict[str, float]:
    now, pending = clock(), Q(status=RunStatus.PENDING)
    later = Q(not_before__gt=ClockTimestamp(), attempt=0)
    due_since = Coalesce("not_before", "created_at")
    counted: dict[str, Any] = Run.objects.in_flight().aggregate(
        pending=Count("pk", filter=pending),
        scheduled=Count("pk", filter=pending & later),
        running=Count("pk", filter=Q(status=RunStatus.RUNNING)),
        oldest=Min(due_since, filter=pending & ~later),
    )
    startable: dict[str, Any] = startable_runs().aggregate(
        threads=Count("thread", distinct=True), oldest=Min(Coalesce("not_before", "created_at"))
    )
    return {
        "runyard_runs_pending": counted["pending"],
        "runyard_runs_scheduled": counted["scheduled"],
        "runyard_runs_startable": startable["threads"],
        "runyard_runs_running": counted["running"],
        "runyard_runs_stopping": Run.objects.leased().filter(status__in=sorted(TERMINAL)).count(),
        "runyard_oldest_pending_seconds": _age(counted["oldest"], now),
        "runyard_oldest_startable_seconds": _age(startable["oldest"], now),
        "runyard_leases_stalled": stalled_runs().count(),
    }


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _workers() -> dict[str, float]:
    good = Q(expires_at__gt=ClockTimestamp())
    found: dict[str, Any] = Worker.objects.filter(buried_at=None).aggregate(
        alive=Count("pk", filter=good),
        draining=Count("pk", filter=good & Q(draining_at__isnull=False)),
        expired=Count("pk", filter=~good),
        capacity=Sum("capacity", filter=good & Q(draining_at=None)),
    )
    return {
        "runyard_workers_alive": found["alive"],
        "runyard_workers_draining": found["draining"],
        "runyard_workers_expired": found["expired"],
        "runyard_workers_capacity": found["capacity"] or 0,
    }
