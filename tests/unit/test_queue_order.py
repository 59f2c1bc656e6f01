"""Who is next: the run that has begun, then the due ones in the order of acceptance."""

from datetime import UTC, datetime, timedelta

from runs.locks import LockedThread
from runs.models import Run, Thread
from runs.states import RunStatus

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


def run(sequence: int, status: RunStatus = RunStatus.PENDING, **columns: object) -> Run:
    """A run that nobody stored."""
    return Run(sequence=sequence, status=status, **{"attempt": 0, "leased": False, **columns})


def first(*runs: Run) -> int | None:
    """The sequence of the run that may be claimed next."""
    found = LockedThread(thread=Thread(), now=NOW, runs=list(runs)).first_in_queue()
    return None if found is None else found.sequence


def test_an_empty_queue_has_no_first() -> None:
    assert first() is None
    assert first(run(1, RunStatus.RUNNING, attempt=1, leased=True)) is None
    assert first(run(1, RunStatus.INTERRUPTED, attempt=1, leased=True)) is None


def test_the_first_accepted_is_first() -> None:
    assert first(run(1), run(2), run(3)) == 1
    assert first(run(3), run(2)) == 2


def test_a_run_that_has_begun_goes_before_those_accepted_earlier() -> None:
    assert first(run(1), run(2, attempt=1), run(3)) == 2


def test_a_scheduled_run_holds_nobody_back_until_it_is_due() -> None:
    assert first(run(1, not_before=LATER), run(2)) == 2
    assert first(run(1, not_before=NOW), run(2)) == 1
    assert first(run(1, not_before=LATER)) is None


def test_a_scheduled_run_that_has_begun_is_due_whatever_its_time() -> None:
    assert first(run(1, attempt=1, not_before=LATER), run(2)) == 1


def test_the_lease_is_held_by_whoever_is_leased_whatever_its_status() -> None:
    stopping = run(1, RunStatus.INTERRUPTED, leased=True, attempt=1)
    thread = LockedThread(thread=Thread(), now=NOW, runs=[stopping, run(2)])
    assert thread.leased is stopping
    assert [found.sequence for found in thread.in_flight] == [2]
    assert thread.find(stopping.pk) is stopping
    assert thread.find(Run().pk) is None
