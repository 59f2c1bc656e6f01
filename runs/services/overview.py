"""How the whole installation is at this moment: what waits, what executes, and on how many workers. Reads only.

Each answer is one statement over an index of what is in flight or alive, bounded in what it reads: it costs the same
beside a thousand finished runs and beside a million.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from runs.models import Run, Worker

#: Nothing is counted beyond this.
COUNT_AT_MOST = 10_000


@dataclass(frozen=True)
class Waiting:
    """Pending runs, by what they wait for; at most COUNT_AT_MOST of them, the oldest."""

    #: Handed to Celery, so that the next free worker takes them.
    for_worker: int
    #: For their turn: another run of their thread is in flight or stopping.
    for_thread: int
    #: For the time that they were scheduled for.
    scheduled: int
    #: Of all of them, those that have not begun before.
    for_first_attempt: int
    #: Since when the oldest has waited that might execute now; None: there is none.
    oldest: datetime | None
    #: There are more than were counted.
    is_more: bool

    @property
    def total(self) -> int:
        """All that were counted."""
        return self.for_worker + self.for_thread + self.scheduled


@dataclass(frozen=True)
class Executing:
    """What the living workers do, out of what they could."""

    workers: int
    #: Attempts that those of them that are not drained execute at the same time, at most.
    capacity: int
    running: int
    #: Ended, but their executors have not left yet.
    stopping: int
    #: Workers whose lease has run out and whom nobody has buried yet.
    expired: int
    #: Of the living workers, those that are drained, and how many runs they still hold.
    draining: int
    finishing: int

    @property
    def used(self) -> int:
        """Places that are taken, of `capacity`."""
        return self.running + self.stopping - self.finishing

    @property
    def takers(self) -> int:
        """Living workers that take runs."""
        return self.workers - self.draining


@dataclass(frozen=True)
class Overview:
    """How it is, and when that was."""

    now: datetime
    waiting: Waiting
    executing: Executing


def overview() -> Overview:
    """Return how everything is now, in two statements."""
    now, executing = _executing()
    return Overview(now, _waiting(), executing)


_RUNS, _WORKERS = Run._meta.db_table, Worker._meta.db_table


def _waiting() -> Waiting:
    row = _row(
        "WITH oldest AS MATERIALIZED (SELECT dispatched_at, started_at, greatest(created_at, not_before) AS since "  # noqa: S608 - our own names
        f"FROM {_RUNS} WHERE status = 'pending' ORDER BY created_at LIMIT %s), "
        "counted AS (SELECT dispatched_at IS NOT NULL AS is_sent, since > statement_timestamp() AS is_early, since, "
        "started_at FROM oldest LIMIT %s) "
        "SELECT count(*) FILTER (WHERE is_sent), count(*) FILTER (WHERE NOT is_sent AND NOT is_early), "
        "count(*) FILTER (WHERE NOT is_sent AND is_early), "
        "count(*) FILTER (WHERE started_at IS NULL), min(since) FILTER (WHERE NOT is_early), "
        "(SELECT count(*) FROM oldest) > %s FROM counted",
        [COUNT_AT_MOST + 1, COUNT_AT_MOST, COUNT_AT_MOST],
    )
    return Waiting(*row)


def _executing() -> tuple[datetime, Executing]:
    """Runs that buried workers held are not counted: they wait to be recovered, and take nobody's place."""
    now, *counts = _row(
        "WITH alive AS (SELECT id, capacity, expires_at < statement_timestamp() AS is_expired, "  # noqa: S608 - our own names
        "draining_at IS NOT NULL AS is_draining "
        f"FROM {_WORKERS} WHERE buried_at IS NULL), "
        f"held AS (SELECT status = 'running' AS is_running, is_draining FROM {_RUNS} run "
        "JOIN alive ON alive.id = run.worker_id "
        "WHERE run.leased AND NOT alive.is_expired) "
        "SELECT statement_timestamp(), count(*) FILTER (WHERE NOT is_expired), "
        "coalesce(sum(capacity) FILTER (WHERE NOT is_expired AND NOT is_draining), 0), "
        "(SELECT count(*) FROM held WHERE is_running), (SELECT count(*) FROM held WHERE NOT is_running), "
        "count(*) FILTER (WHERE is_expired), count(*) FILTER (WHERE is_draining AND NOT is_expired), "
        "(SELECT count(*) FROM held WHERE is_draining) FROM alive",
        [],
    )
    return now, Executing(*counts)


def _row(sql: str, values: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()
