"""What the changes of runs count for: registered in their transaction, counted when it has committed, lost with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from runs import metrics
from runs.after_commit import after_commit
from runs.conf import runs_settings
from runs.errors import OutcomeUnknown, RunError
from runs.metrics.instruments import Histogram
from runs.models import Run
from runs.states import TERMINAL, Departure, MultitaskStrategy, RunStatus

if TYPE_CHECKING:
    from runs.services.create import RunSpec

ACCEPTED, REFUSED = "accepted", "refused"


def count_accepted(run: Run) -> None:
    """A run was accepted and committed."""
    metrics.runs_created.inc(strategy=run.multitask_strategy, result=ACCEPTED, code="")


def accepted_on_commit(run: Run) -> None:
    """A run is accepted, if the transaction commits."""
    after_commit(partial(count_accepted, run))


@contextmanager
def refusals(specs: Sequence["RunSpec"]) -> Iterator[None]:
    """Count what the block refuses; an outcome that nobody knows is neither accepted nor refused."""
    try:
        yield
    except OutcomeUnknown:
        raise
    except RunError as error:
        for spec in specs:
            metrics.runs_created.inc(strategy=_strategy(spec), result=REFUSED, code=error.code)
        raise


def _strategy(spec: "RunSpec") -> str:
    """A label has few values: what is none of ours is all the same."""
    wanted = spec.multitask_strategy or runs_settings().default_multitask_strategy
    return str(wanted) if wanted in MultitaskStrategy.values else "invalid"


def changed_on_commit(run: Run, came_from: RunStatus, now: datetime) -> None:
    """The status has changed: a first claim, an end. `now` is the transaction's."""
    if run.status == RunStatus.RUNNING and run.attempt == 1:
        waiting_since = max(run.created_at, run.not_before or run.created_at)
        _observe_on_commit(metrics.run_start, now - waiting_since)
    if run.status in TERMINAL and came_from not in TERMINAL:
        after_commit(partial(metrics.runs_finished.inc, status=str(run.status)))
        if run.started_at is not None:
            _observe_on_commit(metrics.run_duration, now - run.started_at, status=str(run.status))


def recovered_on_commit(departure: Departure) -> None:
    """An attempt was lost or handed back, and its run waits for another."""
    after_commit(partial(metrics.recoveries.inc, departure=departure.name.lower()))


def left_on_commit(run: Run, now: datetime) -> None:
    """The executor of a terminal run has gone; if the run was cancelled, that is how long the cancel took."""
    if run.cancelled_at is not None:
        _observe_on_commit(metrics.cancel_duration, now - run.cancelled_at)


def _observe_on_commit(histogram: Histogram, time: timedelta, **labels: str) -> None:
    seconds = max(time.total_seconds(), 0.0)
    after_commit(partial(histogram.observe, seconds, **labels))
