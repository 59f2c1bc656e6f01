"""What happened over the last minutes, hours or days, in steps: how many runs, how they ended, how long they took.

Computed from the runs' own times when somebody asks, so nothing has to be recorded, and nothing can disagree with the
runs. Each statement reads a range of an index that has all it needs, and at most MAX_RUNS entries of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from runs.models import Run
from runs.states import FAILED, TERMINAL, RunStatus

#: No statement reads more runs than this, the latest of the window.
MAX_RUNS = 300_000


@dataclass(frozen=True)
class Window:
    """How far back to look, and in what steps."""

    title: str
    step: timedelta
    steps: int


#: By the name that an address has.
WINDOWS: Mapping[str, Window] = {
    "15m": Window("15 minutes", timedelta(seconds=30), 30),
    "1h": Window("1 hour", timedelta(minutes=2), 30),
    "24h": Window("24 hours", timedelta(minutes=30), 48),
    "7d": Window("7 days", timedelta(hours=6), 28),
}


@dataclass(frozen=True)
class Times:
    """Of this many runs, half and 95 in 100 took no longer than this, in seconds; None: there were none."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None


@dataclass
class Step:
    """What happened from `start` on, until the next step begins or now."""

    start: datetime
    created: int
    #: How many runs ended, by status.
    finished: Mapping[RunStatus, int]
    #: From when a run could have started, at the earliest, until its first attempt began; of runs that began here.
    waited: Times
    #: From the first attempt's begin to the run's end; of runs that ended here.
    took: Times
    #: Runs that waited for their first attempt at the end of the step.
    depth: int = 0


@dataclass(frozen=True)
class Trends:
    """The steps of a window, oldest first, and the same over all of it."""

    window: Window
    steps: Sequence[Step]
    whole: Step
    #: Something is left out at the beginning: there were more runs than are read.
    is_cut: bool

    @property
    def finished(self) -> int:
        """How many runs ended."""
        return sum(self.whole.finished.values())

    @property
    def failed(self) -> int:
        """How many of them with an error or a timeout."""
        return sum(count for status, count in self.whole.finished.items() if status in FAILED)


def trends(window: Window, *, now: datetime, waiting: int) -> Trends:
    """Return what happened in the window that ends `now`, when `waiting` runs wait for their first attempt."""
    created, finished, started = (_read(sql, window, now) for sql in (_CREATED, _FINISHED, _STARTED))
    starts = [_first(window, now) + number * window.step for number in range(window.steps)]
    steps = [_step(start, start, created, finished, started) for start in starts]
    _fill_depths(steps, finished, waiting)
    whole = _step(None, starts[0], created, finished, started)
    return Trends(
        window, steps, whole, is_cut=MAX_RUNS in (whole.created, sum(whole.finished.values()), whole.waited.count)
    )


def _first(window: Window, now: datetime) -> datetime:
    """Steps begin at round times, so that a step that is over never changes; the last one is not over."""
    into = (now - _ORIGIN) % window.step
    return now - into - (window.steps - 1) * window.step


_ORIGIN = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
_RUNS = Run._meta.db_table
_PERCENTILES = "percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM {}))"


def _statement(time: str, columns: str, found: str) -> str:
    """Over the whole (step NULL) and over each step of the runs whose `time` is in the window."""
    return (
        f"SELECT date_bin(%(step)s, {time}, %(origin)s) AS step, {found} "  # noqa: S608 - our own names
        f"FROM (SELECT {time}, {columns} FROM {_RUNS} WHERE {time} >= %(since)s AND {time} <= %(now)s "
        f"ORDER BY {time} DESC LIMIT %(limit)s) found GROUP BY GROUPING SETS ((step), ())"
    )


_CREATED = _statement("created_at", "sequence", "count(*)")
_STARTED = _statement(
    "started_at",
    "created_at, not_before",
    "count(*), " + _PERCENTILES.format("started_at - greatest(created_at, not_before)"),
)
_FINISHED = _statement(
    "finished_at",
    "status, started_at",
    ", ".join(f"count(*) FILTER (WHERE status = '{status}')" for status in sorted(TERMINAL))
    + ", count(started_at), "
    + _PERCENTILES.format("finished_at - started_at"),
)

_Rows = Mapping[datetime | None, tuple[Any, ...]]


def _read(sql: str, window: Window, now: datetime) -> _Rows:
    values = {"step": window.step, "origin": _ORIGIN, "since": _first(window, now), "now": now, "limit": MAX_RUNS}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return {step: tuple(found) for step, *found in cursor.fetchall()}


def _step(key: datetime | None, start: datetime, created: _Rows, finished: _Rows, started: _Rows) -> Step:
    *ended, begun, took = finished.get(key, (*(0 for _ in TERMINAL), 0, None))
    return Step(
        start=start,
        created=created.get(key, (0,))[0],
        finished=dict(zip(sorted(TERMINAL), ended, strict=True)),
        waited=_times(*started.get(key, (0, None))),
        took=_times(begun, took),
    )


def _times(count: int, percentiles: Sequence[float] | None) -> Times:
    return Times(count, *map(float, percentiles)) if percentiles else Times(count)


def _fill_depths(steps: Sequence[Step], finished: _Rows, waiting: int) -> None:
    """Back from now: a run that was created in a step did not wait before it, one that began or was cancelled did."""
    depth = waiting
    for step in reversed(steps):
        step.depth = max(depth, 0)
        *ended, begun, _ = finished.get(step.start, (0, 0, None))
        depth += step.waited.count + sum(ended) - begun - step.created
