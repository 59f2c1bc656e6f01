"""Everything at once on few threads: whatever is refused is refused in our words, and nobody deadlocks."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection

from runs.errors import RunError
from runs.locks import is_lock_timeout
from runs.models import Run, Thread, Worker
from runs.services import recover, retention, workers
from runs.services.cancel import cancel_run, cancel_runs
from runs.services.draining import drain_worker, resume_worker
from runs.services.idempotency import Idempotency
from runs.services.invariants import find_violations
from runs.services.lifecycle import time_out_run
from runs.services.progress import Report, report_progress
from runs.services.threads import delete_run, delete_thread, update_thread
from runs.states import CancelAction, Departure, MultitaskStrategy, RunStatus
from tests.support.factories import (
    SYSTEM,
    create,
    expire,
    finish,
    leave,
    make_actor,
    make_overdue,
    make_thread,
    make_worker,
    step,
    try_claim,
)
from tests.support.race import racers
from tests.support.scale import rounds

pytestmark = pytest.mark.usefixtures("intact")


class Hand:
    """One caller that picks verbs and rows at random; the same seed picks the same."""

    def __init__(self, seed: int, worker: Worker) -> None:
        self.random = random.Random(seed)
        self.worker = worker
        self.actor = make_actor()
        #: How long each statement that takes a lock has taken, in seconds.
        self.waits: list[float] = []

    def act(self) -> None:
        """Do one thing; a refusal is an answer."""
        thread = self.random.choice(list(Thread.objects.filter(deleted_at=None)) or [make_thread(self.actor)])
        with suppress(RunError), connection.execute_wrapper(self._measure):
            self.random.choice(VERBS)(self, thread)

    def _measure(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        began = time.monotonic()
        try:
            return execute(sql, *rest)
        finally:
            if "FOR NO KEY UPDATE" in sql or "FOR UPDATE" in sql:
                self.waits.append(time.monotonic() - began)

    def pick(self, **which: Any) -> Run | None:
        """Some run that is as wanted, if there is one."""
        found = list(Run.objects.filter(**which).order_by("?")[:1])
        return found[0] if found else None


def _create(hand: Hand, thread: Thread) -> None:
    key = Idempotency.of(key=str(hand.random.randrange(20)), route=f"{thread.pk}", body={})
    create(
        thread,
        hand.random.choice(list(MultitaskStrategy)),
        actor=hand.actor,
        idempotency=hand.random.choice([None, key]),
        after_seconds=hand.random.choice([None, None, 0.01]),
    )


def _create_queue(hand: Hand, thread: Thread) -> None:
    for _ in range(3):
        create(thread, "enqueue", actor=hand.actor)


def _claim(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(status=RunStatus.PENDING, thread=thread):
        try_claim(run, hand.worker)


def _step(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(status=RunStatus.RUNNING):
        step(run, page=hand.random.random())


def _report(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(status=RunStatus.RUNNING):
        report_progress(run_id=run.pk, attempt=run.attempt, report=Report(message_count=1))


def _finish(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(status=RunStatus.RUNNING):
        finish(run, hand.random.choice([RunStatus.SUCCESS, RunStatus.ERROR]))


def _leave(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(leased=True):
        leave(run, hand.random.choice(list(Departure)))


def _cancel(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(thread=thread):
        cancel_run(run_id=run.pk, actor=hand.actor, action=hand.random.choice(list(CancelAction)))


def _cancel_many(hand: Hand, thread: Thread) -> None:
    cancel_runs(actor=hand.actor, thread_id=thread.pk)


def _time_out(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(status=RunStatus.RUNNING):
        time_out_run(run_id=make_overdue(run).pk, attempt=run.attempt, actor=SYSTEM)


def _delete_run(hand: Hand, thread: Thread) -> None:
    if run := hand.pick(thread=thread):
        delete_run(thread_id=thread.pk, run_id=run.pk, actor=hand.actor)


def _replace_thread(hand: Hand, thread: Thread) -> None:
    delete_thread(thread_id=thread.pk, actor=hand.actor)
    make_thread(hand.actor)


def _lose_worker(hand: Hand, thread: Thread) -> None:
    expire(hand.worker)
    recover.bury_expired_workers()
    hand.worker = make_worker(str(uuid4()))


def _drain_and_resume(hand: Hand, thread: Thread) -> None:
    if worker := Worker.objects.filter(buried_at=None).order_by("?").first():
        drain_worker(worker_id=worker.pk, actor=hand.actor)
        resume_worker(worker_id=worker.pk, actor=hand.actor)


def _check(hand: Hand, thread: Thread) -> None:
    """In the middle of it all every transaction is whole."""
    assert [str(violation) for violation in find_violations()] == []


VERBS: list[Callable[[Hand, Thread], Any]] = [
    *[_create, _claim, _step, _finish] * 3,
    *[_create_queue, _report, _leave, _cancel] * 2,
    *[_cancel_many, _time_out, _delete_run, _replace_thread, _lose_worker, _drain_and_resume, _check],
    lambda hand, thread: workers.renew_worker(hand.worker.pk),
    lambda hand, thread: update_thread(thread_id=thread.pk, actor=hand.actor, metadata={"a": 1}),
    lambda hand, thread: recover.recover_stalled_runs(),
    lambda hand, thread: recover.dispatch_lost_runs(),
    lambda hand, thread: retention.remove_deleted_runs(),
    lambda hand, thread: retention.remove_deleted_threads(),
]


@pytest.mark.timeout(600)
def test_random_verbs_from_eight_callers_never_deadlock_and_leave_everything_consistent(
    caplog: pytest.LogCaptureFixture, record_property: Callable[[str, Any], None]
) -> None:
    """For a minute (`make test-races`). How long they waited for locks is in the report; run with -rP to read it."""
    for _ in range(5):
        make_thread()
    hands = [Hand(seed, make_worker()) for seed in range(8)]
    with racers(8) as callers:
        until = time.monotonic() + rounds(60)
        while time.monotonic() < until:
            outcomes = callers([partial(hand.act) for hand in hands])
            assert outcomes == [None] * 8
    left_to_the_next_sweep = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [
        error
        for error in left_to_the_next_sweep
        if not (isinstance(error, OperationalError) and is_lock_timeout(error))
    ] == []
    waits = sorted(wait for hand in hands for wait in hand.waits)
    assert waits[int(len(waits) * 0.99)] < 1.0  # promised, and far from what is measured
    for name, share in (("median", 0.5), ("p99", 0.99), ("longest", 1.0)):
        seconds = waits[min(len(waits) - 1, int(len(waits) * share))]
        record_property(f"lock_wait_{name}", seconds)
        print(f"{len(waits)} locks, {name} wait {seconds * 1000:.1f} ms")  # noqa: T201
