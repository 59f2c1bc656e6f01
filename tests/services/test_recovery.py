"""What happens to a run whose executor is gone, and what the sweeps of the scheduler repair."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from runs.models import ClockTimestamp, Run, Worker
from runs.services import recover
from runs.services.lifecycle import executor_gone
from runs.services.progress import Report
from runs.services.recover import (
    bury_expired_workers,
    dispatch_lost_runs,
    recover_stalled_runs,
    time_out_overdue_runs,
)
from runs.services.workers import Renewal, bury_worker, renew_worker, retire_worker
from runs.states import CancelAction, Departure, RunStatus
from tests.support.factories import (
    SYSTEM,
    bury,
    cancel,
    claim,
    create,
    expire,
    finish,
    head_values,
    history,
    leave,
    make_overdue,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    stored,
    worker_of,
)
from tests.support.fixtures import Outbox
from tests.support.race import Rival

pytestmark = pytest.mark.usefixtures("intact")

BEGAN = [(None, "pending"), ("pending", "running")]


def test_a_run_whose_process_alone_is_ended_again_and_again_runs_out_of_attempts() -> None:
    """An operator may do so now and then; a run that does it itself must not go on for ever."""
    run = running(make_thread(), max_attempts=2)
    for crashes in (0, 0, 1):
        leave(run, Departure.TERMINATED)
        assert (stored(run).status, stored(run).crashes) == (RunStatus.PENDING, crashes)
        run = claim(run)
    leave(run, Departure.TERMINATED)
    assert (stored(run).status, stored(run).reason) == (RunStatus.ERROR, "attempts_exhausted")


@pytest.mark.parametrize("departure", [Departure.CRASH, Departure.SHUTDOWN, Departure.NEIGHBOUR])
def test_a_run_whose_executor_is_gone_goes_back_to_the_front_of_the_queue(
    departure: Departure, outbox: Outbox, commits: None
) -> None:
    thread = make_thread()
    run, waiting = running(thread), make_run(thread)
    step(run, page=1)
    outbox.clear()
    leave(run, departure)
    run = stored(run)
    assert (run.status, run.leased, run.attempt, run.timeout_at) == (RunStatus.PENDING, False, 1, None)
    assert run.crashes == (departure == Departure.CRASH)
    assert outbox.published == [run.pk]
    assert head_values(thread) == {"page": 1}
    assert history(run) == [*BEGAN, ("running", "pending")]
    assert stored(waiting).dispatched_at is None


def test_after_the_last_crash_the_run_ends_with_what_happened(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    run = running(thread, max_attempts=2)
    step(run, page=1)
    leave(run, Departure.CRASH)
    second = claim(run)
    step(second, page=2)
    waiting = make_run(thread)
    outbox.clear()
    leave(second, Departure.CRASH)
    run = stored(run)
    assert (run.status, run.is_settled, run.crashes, run.reason) == (RunStatus.ERROR, True, 2, "attempts_exhausted")
    assert run.error is not None
    assert run.error["type"] == "attempts_exhausted"
    assert "2 times" in run.error["message"]
    assert outbox.published == [waiting.pk]
    assert head_values(thread) == {"page": 2}


def test_shutdowns_never_exhaust_the_attempts() -> None:
    run = make_run(make_thread(), max_attempts=1)
    for attempt in range(1, 5):
        claimed = claim(run)
        assert claimed.attempt == attempt
        leave(claimed, Departure.SHUTDOWN)
    assert (stored(run).status, stored(run).crashes) == (RunStatus.PENDING, 0)


@pytest.mark.parametrize("action", CancelAction)
def test_a_cancelled_run_is_settled_when_its_executor_is_gone(
    action: CancelAction, outbox: Outbox, commits: None
) -> None:
    thread = make_thread()
    run, waiting = running(thread), make_run(thread)
    cancel(run, action)
    outbox.clear()
    leave(run, Departure.CRASH)
    assert (stored(run).status, stored(run).is_settled, stored(run).crashes) == (RunStatus.INTERRUPTED, True, 0)
    assert outbox.published == [waiting.pk]
    assert history(run) == [*BEGAN, ("running", "interrupted"), ("interrupted", "interrupted")]


@pytest.mark.parametrize(("report", "used"), [(Report(), {}), (Report(usage={"calls": 2}), {"calls": 2})])
def test_an_executor_that_has_left_reports_what_it_knows(report: Report, used: dict[str, int]) -> None:
    run = running(make_thread())
    executor_gone(
        run_id=run.pk,
        attempt=1,
        worker_id=worker_of(run),
        departure=Departure.LEFT,
        actor=SYSTEM,
        report=report,
    )
    assert (stored(run).usage, stored(run).leased) == (used, False)


def test_only_the_holder_of_the_attempt_ends_its_lease() -> None:
    worker, other = make_worker(), make_worker()
    run = running(make_thread(), worker)
    for attempt, holder in ((1, other), (2, worker)):
        gone = executor_gone(
            run_id=run.pk, attempt=attempt, worker_id=holder.pk, departure=Departure.CRASH, actor=SYSTEM
        )
        assert gone is None
    assert stored(run).leased
    leave(run)
    assert leave(run) is None
    assert history(run) == [*BEGAN, ("running", "pending")]


def test_an_executor_of_a_run_that_is_not_there_is_nobodys() -> None:
    gone = executor_gone(run_id=Run().pk, attempt=1, worker_id=make_worker().pk, departure=Departure.LEFT, actor=SYSTEM)
    assert gone is None


def test_recovery_hands_back_what_runs_settles_what_stops_and_leaves_what_has_ended() -> None:
    worker = make_worker()
    done = finish(running(make_thread(), worker))
    executing, stopping = running(make_thread(), worker), running(make_thread(), worker)
    cancel(stopping, CancelAction.ROLLBACK)
    bury(worker)
    assert recover_stalled_runs() == 2
    assert [stored(run).status for run in (done, executing, stopping)] == ["success", "pending", "interrupted"]
    assert stored(stopping).is_settled
    (event,) = executing.events.filter(from_status=RunStatus.RUNNING)
    assert (event.actor, event.reason) == ("system/scheduler", f"crash: worker {worker.pk} was lost")


def test_recovery_of_the_last_attempt_ends_the_run() -> None:
    worker = make_worker()
    run = running(make_thread(), worker, max_attempts=1)
    bury(worker)
    recover_stalled_runs()
    assert (stored(run).status, stored(run).is_settled) == (RunStatus.ERROR, True)


def test_recovery_happens_once_and_keeps_the_history() -> None:
    worker = make_worker()
    run = running(make_thread(), worker)
    bury(worker)
    assert [recover_stalled_runs(), recover_stalled_runs()] == [1, 0]
    assert history(run) == [*BEGAN, ("running", "pending")]
    assert stored(run).crashes == 1


def test_a_rollback_that_was_accepted_is_done_whoever_recovers_the_run() -> None:
    thread, worker = make_thread(), make_worker()
    finish(running(thread, worker), page=0)
    run = running(thread, worker)
    step(run, page=1)
    bury(worker)
    create(thread, "rollback")
    recover_stalled_runs()
    assert head_values(thread) == {"page": 0}
    assert stored(run).is_settled


def test_runs_of_a_living_worker_are_left_alone() -> None:
    worker = make_worker()
    run = running(make_thread(), worker)
    assert [bury_expired_workers(), recover_stalled_runs()] == [0, 0]
    expire(worker)
    assert recover_stalled_runs() == 0
    assert stored(run).leased


def test_an_expired_worker_is_buried_once_and_hears_of_it() -> None:
    worker = make_worker()
    expire(worker)
    assert [bury_expired_workers(), bury_expired_workers()] == [1, 0]
    assert renew_worker(worker.pk) is None
    assert not bury_worker(worker.pk)


def test_a_renewal_before_the_burial_saves_the_worker() -> None:
    worker = make_worker()
    expire(worker)
    assert renew_worker(worker.pk) == Renewal(draining=False, held=[])
    assert bury_expired_workers() == 0
    worker.refresh_from_db()
    assert worker.expires_at > worker.started_at


def test_burial_after_its_runs_have_ended_disturbs_nobody() -> None:
    worker = make_worker()
    run = finish(running(make_thread(), worker))
    before = stored(run).updated_at
    bury(worker)
    assert recover_stalled_runs() == 0
    assert (stored(run).status, stored(run).updated_at) == (RunStatus.SUCCESS, before)


def test_a_worker_whose_row_is_locked_is_not_buried_and_not_counted(commits: None) -> None:
    worker = make_worker()
    expire(worker)
    with transaction.atomic():
        Worker.objects.select_for_update().get(pk=worker.pk)
        assert Rival(bury_expired_workers).start().outcome() == 0
    worker.refresh_from_db()
    assert worker.buried_at is None


def test_a_worker_that_retires_leaves_nothing_leased() -> None:
    worker = make_worker()
    run = running(make_thread(), worker)
    retire_worker(worker.pk)
    assert renew_worker(worker.pk) is None
    recover_stalled_runs()
    assert not stored(run).leased


def test_every_life_of_a_worker_has_an_id_of_its_own_and_names_its_host() -> None:
    first, second = make_worker("box"), make_worker("box")
    assert first.pk != second.pk
    assert (first.host, str(first)) == ("box", f"box ({first.pk})")


def test_overdue_runs_time_out() -> None:
    overdue, in_time = make_overdue(running(make_thread())), running(make_thread())
    assert [time_out_overdue_runs(), time_out_overdue_runs()] == [1, 0]
    assert (stored(overdue).status, stored(in_time).status) == (RunStatus.TIMEOUT, RunStatus.RUNNING)


def age(run: Run, **columns: timedelta) -> None:
    """Let columns of the run lie this long ago."""
    Run.objects.filter(pk=run.pk).update(**{name: ClockTimestamp() - ago for name, ago in columns.items()})


def test_a_run_whose_message_was_lost_is_dispatched_again_later_each_time(outbox: Outbox, commits: None) -> None:
    run = make_run(make_thread())
    dispatched = []
    for seconds in (29, 31, 59, 61, 119, 121):
        age(run, dispatched_at=timedelta(seconds=seconds))
        dispatched.append(dispatch_lost_runs())
    assert dispatched == [0, 1, 0, 1, 0, 1]
    assert outbox.published == [run.pk] * 4
    assert stored(run).dispatches == 4


def test_after_many_losses_a_run_is_dispatched_every_ten_minutes() -> None:
    run = make_run(make_thread())
    Run.objects.update(dispatches=1000)
    age(run, dispatched_at=timedelta(seconds=599))
    assert dispatch_lost_runs() == 0
    age(run, dispatched_at=timedelta(seconds=601))
    assert dispatch_lost_runs() == 1


def test_a_claim_forgets_how_often_the_run_was_dispatched() -> None:
    run = make_run(make_thread())
    Run.objects.update(dispatches=1000)
    leave(claim(run))
    assert stored(run).dispatches == 1


def test_what_is_published_while_dispatches_are_forgotten_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else steady creates would keep the sweep from ending."""
    old, younger = make_run(make_thread()), list[Run]()
    forget = recover._forget_batch

    def publish_and_forget(*arguments: Any) -> int:
        assert len(younger) < 3
        younger.append(make_run(make_thread()))
        return forget(*arguments)

    monkeypatch.setattr(recover, "_forget_batch", publish_and_forget)
    assert recover.forget_dispatches() == 1
    assert stored(old).dispatched_at is None
    assert [stored(run).dispatches for run in younger] == [1, 1]
    assert dispatch_lost_runs() == 1


def test_a_run_that_was_never_published_is_dispatched(outbox: Outbox, commits: None) -> None:
    run = make_run(make_thread())
    Run.objects.update(dispatched_at=None, dispatches=0)
    outbox.clear()
    assert dispatch_lost_runs() == 1
    assert outbox.published == [run.pk]


def test_a_scheduled_run_is_dispatched_when_it_is_due(outbox: Outbox, commits: None) -> None:
    run = make_run(make_thread(), after_seconds=3600)
    assert dispatch_lost_runs() == 0
    age(run, not_before=timedelta(seconds=1))
    assert [dispatch_lost_runs(), dispatch_lost_runs()] == [1, 0]
    assert outbox.published == [run.pk]


def test_only_the_first_of_a_queue_is_dispatched_and_only_if_nothing_is_leased(outbox: Outbox, commits: None) -> None:
    thread, busy = make_thread(), make_thread()
    first, _ = make_run(thread), make_run(thread)
    running(busy)
    make_run(busy)
    Run.objects.update(dispatched_at=None)
    outbox.clear()
    assert dispatch_lost_runs() == 1
    assert outbox.published == [first.pk]


def test_what_a_cancel_left_in_the_queue_is_found_by_the_sweep_too() -> None:
    thread = make_thread()
    first, second = make_run(thread), make_run(thread)
    cancel(first)
    Run.objects.filter(pk=second.pk).update(dispatched_at=None)
    assert dispatch_lost_runs() == 1
    assert stored(second).dispatches == 2
