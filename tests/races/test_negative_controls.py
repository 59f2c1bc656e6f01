"""The test of the tests: each control breaks the code in one place and shows that the race is lost then.

Where nothing is lost without a lock, the test that wants the lock proves nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists

from runs import locks
from runs.errors import ThreadBusy
from runs.locks import LockedThread
from runs.models import Checkpoint, Run, Thread, Worker
from runs.services.idempotency import Idempotency
from runs.services.invariants import find_violations
from runs.statements import Select, Statement
from runs.states import IN_FLIGHT, RunStatus
from tests.races import windows
from tests.races.windows import no_thread_lock
from tests.support.factories import create, make_thread
from tests.support.fixtures import Outbox
from tests.support.race import race


def test_without_the_thread_lock_reject_lets_two_in() -> None:
    with no_thread_lock():
        first, second = windows.admit_while_admitting()
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert first.thread.runs.filter(status__in=IN_FLIGHT).count() == 2


def test_without_the_thread_lock_the_state_is_changed_beside_a_run() -> None:
    with no_thread_lock():
        assert isinstance(windows.change_the_state_while_admitting(), Checkpoint)
        run, changed = windows.begin_while_the_state_is_changed()
    assert run.base_id != changed


def test_a_fence_as_a_sub_select_lets_a_late_checkpoint_undo_a_rollback() -> None:
    thread, run, _ = windows.write_while_rolling_back(write_if_alive)
    assert run.rolled_back_at is not None
    assert thread.head_id != run.base_id
    assert thread.head is not None
    assert thread.head.values == {"page": "late"}
    assert "has a head of a run that was rolled back" in {violation.what for violation in find_violations()}


def write_if_alive(run: Run) -> None:
    """The fence as a predicate: under READ COMMITTED it is not asked again after the wait for the thread's row."""
    alive = Run.objects.filter(pk=run.pk, attempt=run.attempt, status=RunStatus.RUNNING)
    with transaction.atomic():
        late = Checkpoint.objects.create(
            thread=run.thread, run=run, attempt=run.attempt, step=2, values={"page": "late"}
        )
        Thread.objects.filter(Exists(alive), pk=run.thread_id).update(head=late)


def test_a_finish_without_the_thread_lock_forgets_its_successor(outbox: Outbox) -> None:
    with mock.patch("runs.services.lifecycle.lock_run_of_thread", read_run_of_thread):
        successor, published = windows.finish_while_enqueueing(outbox)
    assert published == []
    forgotten = f"I7 thread {successor.thread_id}: has a run that waits and was never dispatched"
    assert forgotten in map(str, find_violations())


def read_run_of_thread(run_id: UUID, *beside: Statement) -> Any:
    """What the finish uses instead of `lock_run_of_thread`."""
    with no_thread_lock():
        return locks.lock_run_of_thread(run_id, *beside)


def test_a_base_recorded_at_every_claim_keeps_the_first_attempt_after_a_rollback() -> None:
    with mock.patch("runs.services.lifecycle._starting_point", head_as_base):
        thread, before = windows.roll_back_the_second_attempt()
    assert thread.head_id != before
    assert thread.head is not None
    assert thread.head.values == {"page": 1}


def head_as_base(locked: LockedThread, run: Run) -> dict[str, Any]:
    """What the claim uses instead of `_starting_point`."""
    return {"base_id": locked.thread.head_id, "started_at": locked.now}


def test_a_claim_that_overlooks_the_lease_is_refused_by_the_constraint_alone() -> None:
    with mock.patch.object(LockedThread, "leased", None), pytest.raises(IntegrityError, match="runs_run_one_lease"):
        windows.claim_beside_a_stopping_run()
    assert Run.objects.filter(leased=True).count() == 1


def test_without_the_constraint_two_runs_of_a_thread_are_leased() -> None:
    with without_constraint("runs_run_one_lease"), mock.patch.object(LockedThread, "leased", None):
        second = windows.claim_beside_a_stopping_run()
        assert second is not None
        assert second.thread.runs.filter(leased=True).count() == 2
        assert f"I2 run {second.pk}: is the second lease of its thread" in map(str, find_violations())


@contextmanager
def without_constraint(name: str) -> Iterator[None]:
    """Drop a constraint of the runs; at the end all runs go, so that it can come back."""
    (constraint,) = [found for found in Run._meta.constraints if found.name == name]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Run, constraint)
    try:
        yield
    finally:
        Run.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Run, constraint)


def test_a_claim_that_does_not_lock_its_worker_wins_after_the_drain_has_returned() -> None:
    unlocked = Select(Worker, "WHERE id = %s AND buried_at IS NULL", only=("id", "draining_at"))
    with mock.patch("runs.locks._CLAIMANT", unlocked):
        claimed, then, now = windows.drain_while_claiming()
    assert claimed is not None
    assert (then, now) == (set(), {claimed.pk})


def test_a_drain_that_locks_as_everybody_does_lets_a_claim_pass() -> None:
    with mock.patch("runs.services.draining.lock_worker", lock_for_an_update):
        claimed, then, now = windows.drain_while_claiming()
    assert claimed is not None
    assert (then, now) == (set(), {claimed.pk})


def lock_for_an_update(worker_id: UUID) -> Worker:
    """What the drain uses instead of `lock_worker`."""
    return Worker.objects.select_for_update(no_key=True).get(pk=worker_id)


def test_published_on_commit_a_refused_run_is_never_published(outbox: Outbox) -> None:
    create_and_fail()
    assert outbox.published == []


def test_published_before_the_commit_a_run_that_does_not_exist_is_handed_out(outbox: Outbox) -> None:
    with mock.patch("runs.dispatch.after_commit", send_now):
        create_and_fail()
    (published,) = outbox.published
    assert not Run.objects.filter(pk=published).exists()


def create_and_fail() -> None:
    """Admission fails at its last step, after the dispatch."""
    thread = make_thread()
    key = Idempotency.of(key="k", route="r", body={})
    with mock.patch("runs.services.create.bind_key", side_effect=RuntimeError), pytest.raises(RuntimeError):
        create(thread, idempotency=key)


def send_now(send: Callable[[], object]) -> None:
    """What publishing uses instead of `after_commit`."""
    send()


def test_a_barrier_alone_finds_the_missing_lock_too() -> None:
    """The loops of the other files rely on it: they would notice."""
    admitted = 0
    with no_thread_lock():
        for _ in range(20):
            thread = make_thread()
            outcomes = race(*[lambda thread=thread: create(thread, "reject")] * 8)
            assert {type(outcome).__name__ for outcome in outcomes} <= {"CreatedRun", ThreadBusy.__name__}
            admitted += sum(not isinstance(outcome, ThreadBusy) for outcome in outcomes)
    assert admitted > 20
