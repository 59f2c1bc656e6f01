"""Schedulers killed in the middle of what they do, and two at once: everything is done, and done once.

The workers are rows here, so that nobody but a scheduler recovers anything.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from runs.models import ClockTimestamp, Run, Worker
from runs.states import RunStatus
from tests.support import crash_points
from tests.support.factories import expire, make_run, make_thread, make_worker, running, worker_of
from tests.support.ledger import wait_until
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import empty_queue

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(900)]

#: Nothing is published a second time while the test looks.
ONCE = {"REDISPATCH_SECONDS": 600.0, "REDISPATCH_MAX_SECONDS": 600.0, "LEASE_SECONDS": 0.5, "RENEW_SECONDS": 0.2}
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Two schedulers and nothing else."""
    empty_queue()
    with Stack(workers=0, schedulers=2, runs=ONCE) as stack:
        yield stack


@pytest.fixture(autouse=True)
def mended(stack: Stack) -> Iterator[None]:
    """Both schedulers are there, and no place is armed afterwards."""
    stack.mend()
    yield
    crash_points.disarm()


def lose_worker() -> Run:
    """A run whose worker has not been heard of."""
    worker = make_worker()
    run = running(make_thread(), worker, assistant="prompt")
    expire(worker)
    return run


def lose_message() -> Run:
    """A run that was accepted and never published."""
    run = make_run(make_thread(), assistant="prompt")
    Run.objects.filter(pk=run.pk).update(dispatched_at=ClockTimestamp() - timedelta(hours=1))
    return run


def wait_until_dispatched(run: Run) -> Run:
    """The run, waiting for a worker, its message sent just now."""
    fresh = ClockTimestamp() - timedelta(minutes=5)
    found = Run.objects.filter(pk=run.pk, status=RunStatus.PENDING, dispatched_at__gt=fresh)
    return wait_until(found.first, f"run {run.pk} to be dispatched", PATIENCE_SECONDS)


def check_recovered_once(run: Run) -> None:
    run = wait_until_dispatched(run)
    assert [(event.from_status, event.to_status) for event in run.events.all()] == [
        (None, "pending"),
        ("pending", "running"),
        ("running", "pending"),
    ]
    assert (run.attempt, run.crashes, run.dispatches, run.leased) == (1, 1, 1, False)
    assert Worker.objects.get(pk=worker_of(run)).buried_at is not None


def check_dispatched_once(run: Run) -> None:
    run = wait_until_dispatched(run)
    assert (run.attempt, run.dispatches, run.events.count()) == (0, 2, 1)


PLACES: list[tuple[str, Callable[[], Run], Callable[[Run], None]]] = [
    ("inside a burial", lose_worker, check_recovered_once),
    ("after a burial", lose_worker, check_recovered_once),
    ("inside a recovery", lose_worker, check_recovered_once),
    ("between commit and publish", lose_worker, check_recovered_once),
    ("inside a dispatch", lose_message, check_dispatched_once),
]


@pytest.mark.parametrize(("place", "lose", "check"), PLACES, ids=[place for place, _, _ in PLACES])
def test_killed_scheduler(place: str, lose: Callable[[], Run], check: Callable[[Run], None], stack: Stack) -> None:
    """The other one does what it left undone, and nothing of what it had done."""
    for _ in range(rounds(4)):
        stack.mend()
        wait_for_death = crash_points.arm(place)
        run = lose()
        wait_for_death()
        check(run)
        wait_until(lambda: [one.is_running for one in stack.schedulers].count(False) == 1, "one to be dead")


def test_two_schedulers_produce_one_action(stack: Stack) -> None:
    lost = [lose_worker() for _ in range(rounds(100))]
    unsent = [lose_message() for _ in range(rounds(100))]
    for run in lost:
        check_recovered_once(run)
    for run in unsent:
        check_dispatched_once(run)
