"""Everything that sweeps do, at once and for all rows, and the queue built anew from the database alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from runs.services import recover, workers

Action = tuple[str, Callable[[], int]]


@dataclass(frozen=True)
class Finding:
    """What would be done to a row."""

    what: str
    table: str
    pk: UUID


def plan() -> Iterator[Finding]:
    """Yield what `actions` would do now; reads only."""
    for run_id in recover.overdue_runs().values_list("pk", flat=True):
        yield Finding("would time out", "run", run_id)
    expired = workers.expired_workers(limit=None)
    for worker_id in expired:
        yield Finding("would bury unless it renews", "worker", worker_id)
    for run_id in recover.stalled_runs().values_list("pk", flat=True):
        yield Finding("would take the lease away from", "run", run_id)
    for run_id in recover.held_by(expired).values_list("pk", flat=True):
        yield Finding("would take the lease away, unless its worker renews, from", "run", run_id)
    firsts = recover.startable_runs().order_by("thread_id", "-attempt", "sequence").distinct("thread_id")
    for run_id in firsts.values_list("pk", flat=True):
        yield Finding("would publish", "run", run_id)


def actions() -> Iterator[Action]:
    """Yield what is to be done, in order. Before "buried workers" every worker must have had a lease time to renew."""
    yield "timed out", _exhaustively(recover.time_out_overdue_runs)
    yield "buried workers", _exhaustively(recover.bury_expired_workers)
    yield "recovered runs", _exhaustively(recover.recover_stalled_runs)
    yield "forgot dispatches", recover.forget_dispatches
    yield "published runs", _exhaustively(recover.dispatch_lost_runs)


def left_out() -> int:
    """How many rows and threads a sweep would still find: somebody else held them, or they failed and were logged."""
    runs = recover.overdue_runs().count() + recover.stalled_runs().count()
    return runs + len(workers.expired_workers(limit=None)) + len(recover.lost_threads(limit=None))


def _exhaustively(sweep: Callable[..., int]) -> Callable[[], int]:
    """A sweep does a batch; again until it finds nothing that it could do, even behind a batch that others hold."""

    def sweep_all() -> int:
        total = 0
        while done := sweep() or sweep(limit=None):
            total += done
        return total

    return sweep_all
