"""Draining: what the row says, what a drained worker is refused, and what it is told."""

import logging
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from runs.actors import Actor
from runs.dispatch import READ_WORKER_ROW
from runs.errors import WorkerDraining, WorkerGone, WorkerNotFound
from runs.locks import clock
from runs.models import ClockTimestamp, Worker
from runs.services.draining import drain_worker, hand_over, resume_worker
from runs.services.workers import WorkerState, register_worker, renew_worker, state_of
from runs.states import RunStatus
from tests.support.factories import (
    SYSTEM,
    bury,
    claim,
    drain,
    expire,
    finish,
    history,
    make_run,
    make_thread,
    make_worker,
    running,
    stored,
    try_claim,
)
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")

OPERATOR = Actor("operator:ada")


def test_the_row_says_since_when_and_by_whom_and_the_first_stays(
    outbox: Outbox, commits: None, caplog: pytest.LogCaptureFixture
) -> None:
    worker = make_worker("box")
    with caplog.at_level(logging.WARNING, "runs.services.draining"):
        assert drain_worker(worker_id=worker.pk, actor=OPERATOR, reason="a deploy")
        assert not drain_worker(worker_id=worker.pk, actor=SYSTEM)
    worker.refresh_from_db()
    assert (worker.draining_by, worker.draining_at is not None) == ("operator:ada", True)
    assert outbox.told == [(READ_WORKER_ROW, {"worker_id": str(worker.pk)})]
    assert [record.getMessage() for record in caplog.records] == [
        f"worker {worker.pk} (box) was drained by operator:ada: a deploy"
    ]


def test_a_resumed_worker_takes_runs_again(outbox: Outbox, commits: None) -> None:
    worker, run = make_worker(), make_run(make_thread())
    drain(worker)
    outbox.clear()
    assert resume_worker(worker_id=worker.pk, actor=OPERATOR)
    assert not resume_worker(worker_id=worker.pk, actor=OPERATOR)
    assert outbox.told == [(READ_WORKER_ROW, {"worker_id": str(worker.pk)})]
    assert claim(run, worker).attempt == 1


def test_a_drained_worker_finishes_what_it_executes_and_claims_nothing(outbox: Outbox, commits: None) -> None:
    worker, waiting = make_worker(), make_run(make_thread())
    run = running(make_thread(), worker)
    drain(worker)
    outbox.clear()
    with pytest.raises(WorkerDraining):
        try_claim(waiting, worker)
    assert (history(waiting), stored(waiting).dispatches, outbox.published) == ([(None, "pending")], 1, [])
    renewal = renew_worker(worker.pk)
    assert renewal is not None
    assert (renewal.draining, [held.run_id for held in renewal.held]) == (True, [run.pk])
    assert finish(run).status == RunStatus.SUCCESS


def test_what_is_handed_over_is_the_run_whose_turn_it_is(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    first, second = make_run(thread), make_run(thread)
    outbox.clear()
    hand_over(second.pk)
    hand_over(uuid4())
    assert outbox.published == [first.pk]
    assert stored(first).dispatches == 2


def test_a_life_that_has_ended_is_neither_drained_nor_resumed() -> None:
    worker = make_worker()
    bury(worker)
    for change in (drain_worker, resume_worker):
        with pytest.raises(WorkerGone):
            change(worker_id=worker.pk, actor=OPERATOR)
        with pytest.raises(WorkerNotFound):
            change(worker_id=uuid4(), actor=OPERATOR)
    worker.refresh_from_db()
    assert worker.draining_at is None


def test_a_process_that_lost_its_life_stays_drained_and_one_that_starts_is_not() -> None:
    former = make_worker()
    drain(former)
    bury(former)
    again = register_worker(host="host", version="1", capacity=4, former=former.pk)
    former.refresh_from_db()
    assert (again.draining_at, again.draining_by) == (former.draining_at, former.draining_by)
    assert make_worker().draining_at is None
    assert register_worker(host="host", version="1", capacity=4, former=uuid4()).draining_at is None


def test_each_state_counts_before_those_that_came_earlier() -> None:
    worker, seen = make_worker(), []
    changes: list[Callable[[Worker], object]] = [lambda _: None, drain, expire, bury]
    for change in changes:
        change(worker)
        worker.refresh_from_db()
        seen.append(state_of(worker, clock()))
    assert seen == list(WorkerState)


def test_the_database_wants_to_know_who() -> None:
    worker = make_worker()
    with pytest.raises(IntegrityError, match="runs_worker_draining_by"), transaction.atomic():
        Worker.objects.filter(pk=worker.pk).update(draining_at=ClockTimestamp())
