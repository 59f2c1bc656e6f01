"""Leases that end while something else happens: one burial, one recovery, no run left behind."""

from functools import partial

import pytest

from runs.models import Run, Worker
from runs.services.cancel import cancel_run
from runs.services.lifecycle import executor_gone
from runs.services.recover import bury_expired_workers, dispatch_lost_runs, recover_stalled_runs
from runs.services.workers import Renewal, bury_worker, renew_worker
from runs.states import CancelAction, Departure, RunStatus
from tests.support.factories import (
    SYSTEM,
    bury,
    expire,
    history,
    leave,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    try_claim,
)
from tests.support.fixtures import Outbox
from tests.support.race import race, racers, rival_after, rival_before
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("intact"), pytest.mark.timeout(300)]

BEGAN = [(None, "pending"), ("pending", "running")]


def test_of_four_buriers_one_buries() -> None:
    with racers(4) as buriers:
        for _ in range(rounds(100)):
            worker = make_worker()
            expire(worker)
            outcomes = buriers([partial(bury_worker, worker.pk)] * 4)
            assert sorted(outcomes) == [False, False, False, True]


def test_a_renewal_and_a_burial_never_both_succeed() -> None:
    with racers(2) as both:
        for _ in range(rounds(200)):
            worker = make_worker()
            expire(worker)
            renewed, buried = both([partial(renew_worker, worker.pk), partial(bury_worker, worker.pk)])
            assert (renewed is None) == buried
            worker.refresh_from_db()
            assert (worker.buried_at is not None) == buried


def test_a_renewal_that_waited_behind_a_burial_learns_of_it() -> None:
    worker = make_worker()
    expire(worker)
    with rival_after("runs.services.workers.lock_expired_worker", lambda: renew_worker(worker.pk)) as late:
        assert bury_worker(worker.pk)
    assert late.outcome() is None


def test_a_renewal_after_the_scan_saves_the_worker() -> None:
    worker = make_worker()
    expire(worker)
    with rival_before("runs.services.recover.bury_worker", lambda: renew_worker(worker.pk)) as early:
        assert bury_expired_workers() == 0
    assert early.outcome() == Renewal(draining=False, held=[])
    assert Worker.objects.get(pk=worker.pk).buried_at is None


def test_two_schedulers_recover_a_run_once() -> None:
    with racers(2) as schedulers:
        for _ in range(rounds(50)):
            worker = make_worker()
            run = running(make_thread(), worker)
            bury(worker)
            assert sorted(schedulers([recover_stalled_runs] * 2)) == [0, 1]
            run.refresh_from_db()
            assert (run.status, run.crashes) == (RunStatus.PENDING, 1)
            assert history(run) == [*BEGAN, ("running", "pending")]


def test_the_worker_and_the_scheduler_end_a_lease_once() -> None:
    with racers(2) as both:
        for _ in range(rounds(100)):
            worker = make_worker()
            run = running(make_thread(), worker)
            bury(worker)
            gone = partial(
                executor_gone,
                run_id=run.pk,
                attempt=1,
                worker_id=worker.pk,
                departure=Departure.SHUTDOWN,
                actor=SYSTEM,
            )
            left, recovered = both([gone, recover_stalled_runs])
            assert isinstance(left, Run) == (recovered == 0)
            assert history(run) == [*BEGAN, ("running", "pending")]


@pytest.mark.parametrize("action", CancelAction)
def test_a_lost_executor_and_a_cancel_leave_the_run_interrupted_and_settled(action: CancelAction) -> None:
    worker = make_worker()
    orders = {
        (*BEGAN, ("running", "interrupted"), ("interrupted", "interrupted")),
        (*BEGAN, ("running", "pending"), ("pending", "interrupted")),
    }
    with racers(2) as both:
        for _ in range(rounds(100)):
            thread = make_thread()
            run = running(thread, worker)
            checkpoint = step(run, page=1)
            both(
                [partial(leave, run, Departure.CRASH), partial(cancel_run, run_id=run.pk, actor=SYSTEM, action=action)]
            )
            run.refresh_from_db()
            thread.refresh_from_db()
            assert (run.status, run.leased, run.cancel_action) == (RunStatus.INTERRUPTED, False, action)
            assert tuple(history(run)) in orders
            assert thread.head_id == (checkpoint.pk if action == CancelAction.INTERRUPT else None)


def test_a_run_claimed_while_its_worker_is_buried_is_recovered() -> None:
    with racers(2) as both:
        for _ in range(rounds(100)):
            worker = make_worker()
            run = make_run(make_thread())
            expire(worker)
            claimed, buried = both([partial(try_claim, run, worker), partial(bury_worker, worker.pk)])
            assert buried
            assert recover_stalled_runs() == (claimed is not None)
            run.refresh_from_db()
            assert (run.status, run.leased) == (RunStatus.PENDING, False)


def test_two_schedulers_dispatch_a_lost_run_once(outbox: Outbox) -> None:
    with racers(2) as schedulers:
        for _ in range(rounds(50)):
            run = make_run(make_thread())
            Run.objects.filter(pk=run.pk).update(dispatched_at=None)
            outbox.clear()
            assert sorted(schedulers([dispatch_lost_runs] * 2)) == [0, 1]
            assert outbox.published == [run.pk]


def test_a_run_that_is_claimed_during_the_sweep_is_not_dispatched_again(outbox: Outbox) -> None:
    run = make_run(make_thread())
    Run.objects.filter(pk=run.pk).update(dispatched_at=None)
    outbox.clear()
    with rival_before("runs.services.recover._dispatch_thread", lambda: try_claim(run)) as claimer:
        assert dispatch_lost_runs() == 0
    assert isinstance(claimer.outcome(), Run)
    assert outbox.published == []


def test_cancels_of_a_whole_queue_from_both_ends_cancel_each_run_once() -> None:
    thread = make_thread()
    queue = [make_run(thread) for _ in range(10)]
    from_both_ends = [
        [partial(cancel_run, run_id=run.pk, actor=SYSTEM) for run in order] for order in (queue, queue[::-1])
    ]
    race(*[lambda calls=calls: [call() for call in calls] for calls in from_both_ends])
    for run in queue:
        assert history(run) == [(None, "pending"), ("pending", "interrupted")]
