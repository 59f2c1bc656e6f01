"""Claims, ends and cancels of one run at the same moment: one of them wins, and the history agrees with the row."""

from functools import partial

import pytest

from runs.errors import Fenced, NotCancellable
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.services.lifecycle import time_out_run
from runs.states import CancelAction, RunStatus
from tests.support.factories import (
    SYSTEM,
    claim,
    finish,
    history,
    leave,
    make_overdue,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    try_claim,
)
from tests.support.fixtures import Outbox
from tests.support.race import race, racers
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("intact"), pytest.mark.timeout(300)]

CREATED, CLAIMED = (None, "pending"), ("pending", "running")


def test_of_four_claimers_one_gets_the_run() -> None:
    workers = [make_worker() for _ in range(4)]
    with racers(4) as claimers:
        for _ in range(rounds(300)):
            run = make_run(make_thread())
            outcomes = claimers([partial(try_claim, run, worker) for worker in workers])
            (winner,) = [worker for worker, claimed in zip(workers, outcomes, strict=True) if claimed is not None]
            run.refresh_from_db()
            assert (run.status, run.attempt, run.worker_id) == (RunStatus.RUNNING, 1, winner.pk)
            assert history(run) == [CREATED, CLAIMED]


@pytest.mark.parametrize("action", CancelAction)
def test_of_a_cancel_and_a_finish_one_wins_and_the_other_is_told(action: CancelAction) -> None:
    worker = make_worker()
    with racers(2) as both:
        for _ in range(rounds(250)):
            thread = make_thread()
            run = running(thread, worker)
            cancelled, finished = both(
                [partial(cancel_run, run_id=run.pk, actor=SYSTEM, action=action), partial(finish, run, page=1)]
            )
            run.refresh_from_db()
            thread.refresh_from_db()
            assert history(run) == [CREATED, CLAIMED, ("running", run.status)]
            if run.status == RunStatus.INTERRUPTED:
                assert isinstance(cancelled, Run)
                assert isinstance(finished, Fenced)
                assert (run.leased, thread.head_id) == (True, None)
                leave(run)
            else:
                assert isinstance(cancelled, NotCancellable)
                assert isinstance(finished, Run)
                assert thread.head is not None
                assert (run.leased, run.cancel_action, thread.head.values) == (False, None, {"page": 1})


def test_of_a_time_out_and_a_finish_one_wins() -> None:
    worker = make_worker()
    with racers(2) as both:
        for _ in range(rounds(100)):
            run = make_overdue(running(make_thread(), worker))
            timed_out, finished = both(
                [partial(time_out_run, run_id=run.pk, attempt=1, actor=SYSTEM), partial(finish, run)]
            )
            run.refresh_from_db()
            assert history(run) == [CREATED, CLAIMED, ("running", run.status)]
            if run.status == RunStatus.TIMEOUT:
                assert isinstance(timed_out, Run)
                assert isinstance(finished, Fenced)
            else:
                assert (run.status, timed_out) == (RunStatus.SUCCESS, None)


def test_of_six_cancels_the_first_action_stays() -> None:
    worker = make_worker()
    actions = [CancelAction.INTERRUPT, CancelAction.ROLLBACK] * 3
    with racers(6) as cancellers:
        for _ in range(rounds(100)):
            thread = make_thread()
            run = running(thread, worker)
            checkpoint = step(run, page=1)
            outcomes = cancellers(
                [partial(cancel_run, run_id=run.pk, actor=SYSTEM, action=action) for action in actions]
            )
            run.refresh_from_db()
            thread.refresh_from_db()
            assert {outcome.status for outcome in outcomes} == {RunStatus.INTERRUPTED}
            assert {outcome.cancel_action for outcome in outcomes} == {run.cancel_action}
            assert thread.head_id == (None if run.cancel_action == CancelAction.ROLLBACK else checkpoint.pk)
            assert history(run) == [CREATED, CLAIMED, ("running", "interrupted")]


def test_a_checkpoint_and_a_rollback_leave_the_head_at_the_base() -> None:
    worker = make_worker()
    with racers(2) as both:
        for _ in range(rounds(200)):
            thread = make_thread()
            before = finish(running(thread, worker), page=0).thread.head_id
            run = running(thread, worker)
            cancel = partial(cancel_run, run_id=run.pk, actor=SYSTEM, action=CancelAction.ROLLBACK)
            _, written = both([cancel, partial(step, run, page=1)])
            thread.refresh_from_db()
            assert thread.head_id == before
            assert isinstance(written, Fenced) or not thread.checkpoints.forkable().filter(pk=written.pk).exists()
            leave(run)


def test_the_successor_of_a_finishing_run_is_dispatched_exactly_once(outbox: Outbox) -> None:
    worker = make_worker()
    with racers(2) as both:
        for _ in range(rounds(200)):
            thread = make_thread()
            run = running(thread, worker)
            outbox.clear()
            successor, finished = both([partial(make_run, thread), partial(finish, run)])
            assert isinstance(finished, Run)
            assert outbox.published == [successor.pk]
            finish(claim(successor, worker))


def test_two_messages_of_one_run_make_one_attempt() -> None:
    run = make_run(make_thread())
    outcomes = race(partial(try_claim, run), partial(try_claim, run))
    assert sorted(outcome is None for outcome in outcomes) == [False, True]
