"""Drains that meet claims: once a drain has returned its worker claims nothing, and every run finds another."""

from functools import partial

import pytest
from django.db import connection, transaction

from runs.conf import runs_settings
from runs.errors import WorkerDraining, WorkerGone
from runs.locks import lock_worker
from runs.models import Run
from runs.services.draining import drain_worker, hand_over, resume_worker
from runs.services.workers import Renewal, bury_worker, renew_worker
from runs.states import RunStatus
from tests.races import windows
from tests.support.factories import (
    SYSTEM,
    drain,
    expire,
    history,
    make_run,
    make_thread,
    make_worker,
    stored,
    try_claim,
)
from tests.support.fixtures import Outbox
from tests.support.race import racers, rival_after, rival_before
from tests.support.scale import rounds

pytestmark = [pytest.mark.usefixtures("intact"), pytest.mark.timeout(300)]


def test_a_drain_waits_for_the_claim_that_has_read_its_worker() -> None:
    claimed, then, now = windows.drain_while_claiming()
    assert claimed is not None
    assert then == now == {claimed.pk}


def test_a_claim_that_waited_behind_a_drain_is_refused_and_publishes_nothing(outbox: Outbox) -> None:
    run, worker = make_run(make_thread()), make_worker()
    outbox.clear()
    with rival_after("runs.services.draining.lock_worker", partial(try_claim, run, worker)) as late:
        drain(worker)
    assert isinstance(late.outcome(), WorkerDraining)
    assert (stored(run).status, history(run)) == (RunStatus.PENDING, [(None, "pending")])
    assert outbox.published == []


def test_of_a_drain_and_a_claim_the_claim_comes_first_or_not_at_all(outbox: Outbox) -> None:
    """Refused, the run is handed over once, and another worker has it."""
    with racers(2) as both:
        for _ in range(rounds(100)):
            run, worker, other = make_run(make_thread()), make_worker(), make_worker()
            outbox.clear()
            claimed, drained = both(
                [
                    partial(try_claim, run, worker),
                    partial(drain_worker, worker_id=worker.pk, actor=SYSTEM),
                ]
            )
            assert drained is True
            if isinstance(claimed, Run):
                assert (stored(run).worker_id, outbox.published) == (worker.pk, [])
                continue
            assert isinstance(claimed, WorkerDraining)
            assert outbox.published == []
            hand_over(run.pk)
            assert outbox.published == [run.pk]
            assert try_claim(run, other) is not None


def test_a_run_that_another_worker_has_taken_is_not_handed_over(outbox: Outbox) -> None:
    """As after a second delivery: the refused one has nothing to give."""
    run, worker = make_run(make_thread()), make_worker()
    drain(worker)
    with rival_before("runs.services.draining.lock_run_of_thread", partial(try_claim, run)):
        outbox.clear()
        hand_over(run.pk)
    assert outbox.published == []
    assert stored(run).status == RunStatus.RUNNING


def test_a_renewal_waits_neither_for_a_claim_nor_for_the_drain_that_does() -> None:
    run, worker = make_run(make_thread()), make_worker()
    with (
        rival_after("runs.services.lifecycle.load_claimant", partial(drain, worker)) as draining,
        rival_before("runs.services.lifecycle._begin_attempt", partial(renew_worker, worker.pk)) as renewing,
        rival_before("runs.services.lifecycle._starting_point", lambda: (draining.done, renewing.done)) as then,
    ):
        assert try_claim(run, worker) is not None
    assert then.outcome() == (False, True)
    assert renewing.outcome() == Renewal(draining=False, held=[])
    assert draining.outcome() is None


def test_of_four_who_drain_a_worker_one_has_done_it() -> None:
    with racers(4) as four:
        for _ in range(rounds(50)):
            worker = make_worker()
            drains = [partial(drain_worker, worker_id=worker.pk, actor=SYSTEM)] * 4
            assert sorted(four(drains)) == [False, False, False, True]
            resumes = [partial(resume_worker, worker_id=worker.pk, actor=SYSTEM)] * 4
            assert sorted(four(resumes)) == [False, False, False, True]


def test_a_drain_that_waited_behind_a_burial_is_refused() -> None:
    worker = make_worker()
    expire(worker)
    with rival_after("runs.services.workers.lock_expired_worker", partial(drain, worker)) as late:
        assert bury_worker(worker.pk)
    assert isinstance(late.outcome(), WorkerGone)
    worker.refresh_from_db()
    assert worker.draining_at is None


def test_who_stands_still_in_a_drain_loses_its_lock_before_the_worker_has_missed_two_renewals() -> None:
    worker = make_worker()
    with transaction.atomic(), connection.cursor() as cursor:
        lock_worker(worker.pk)
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == (f"{runs_settings().RENEW_SECONDS:g}s",)
