"""Deleting runs and threads: hidden at once, stopped, gone when all is settled; and the id is free again then."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from runs.errors import CheckpointNotFound, Fenced, RunNotFound, ThreadDeleting, ThreadExists, ThreadNotFound
from runs.models import Checkpoint, ClockTimestamp, IdempotencyKey, Run, Thread
from runs.services.history import get_state
from runs.services.idempotency import Idempotency
from runs.services.retention import forget_idempotency_keys, remove_deleted_runs, remove_deleted_threads
from runs.services.runs import get_run
from runs.services.threads import create_thread, delete_run, delete_thread, update_thread
from runs.states import CancelAction, RunStatus, ThreadStatus
from tests.support.factories import (
    cancel,
    claim,
    create,
    finish,
    head_values,
    leave,
    make_actor,
    make_run,
    make_thread,
    running,
    step,
    stored,
)
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")


def delete(run: Run) -> None:
    """Delete it as its owner."""
    delete_run(thread_id=run.thread_id, run_id=run.pk, actor=make_actor(run.owner.username))


def test_deleting_a_running_run_stops_and_hides_it_and_its_row_stays_until_it_has_left() -> None:
    thread = make_thread()
    run, waiting = running(thread), make_run(thread)
    step(run, page=1)
    delete(run)
    with pytest.raises(RunNotFound):
        get_run(run_id=run.pk, owner=None)
    assert (stored(run).status, stored(run).cancel_action, stored(run).leased) == ("interrupted", "interrupt", True)
    assert remove_deleted_runs() == 0
    assert stored(waiting).dispatched_at is None
    leave(run)
    assert stored(waiting).dispatched_at is not None
    assert remove_deleted_runs() == 1
    assert not Run.objects.filter(pk=run.pk).exists()
    assert head_values(thread) == {"page": 1}


def test_deleting_a_run_that_waits_calls_the_next(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    first, second = make_run(thread), make_run(thread)
    outbox.clear()
    delete(first)
    assert outbox.published == [second.pk]
    assert outbox.commands() == ["revoke"]


def test_a_deleted_run_can_neither_be_deleted_nor_cancelled() -> None:
    run = make_run(make_thread())
    delete(run)
    for again in (delete, cancel):
        with pytest.raises(RunNotFound):
            again(run)


def test_a_run_is_deleted_only_on_its_own_thread_and_by_its_owner() -> None:
    ada = make_actor("ada")
    run = make_run(make_thread(ada))
    for thread, actor, error in (
        (make_thread(ada), ada, RunNotFound),
        (run.thread, make_actor("eve"), ThreadNotFound),
    ):
        with pytest.raises(error):
            delete_run(thread_id=thread.pk, run_id=run.pk, actor=actor)
    assert stored(run).deleted_at is None


def test_the_steps_of_a_removed_run_stay_and_what_it_had_given_up_goes() -> None:
    thread = make_thread()
    done = running(thread)
    kept = step(done, page=1)
    finish(done)
    rolled_back = running(thread)
    given_up = step(rolled_back, page=2)
    cancel(rolled_back, CancelAction.ROLLBACK)
    leave(rolled_back)
    for run in (done, rolled_back):
        delete(run)
    assert remove_deleted_runs() == 2
    assert head_values(thread) == {"page": 1}
    assert get_state(thread_id=thread.pk, owner=None, checkpoint_id=kept.pk) == kept
    with pytest.raises(CheckpointNotFound):
        get_state(thread_id=thread.pk, owner=None, checkpoint_id=given_up.pk)


def test_the_status_of_the_thread_forgets_a_deleted_failure() -> None:
    thread = make_thread()
    run = finish(running(thread), RunStatus.ERROR)
    thread.refresh_from_db()
    assert thread.status == ThreadStatus.ERROR
    delete(run)
    thread.refresh_from_db()
    assert (thread.status, thread.error) == (ThreadStatus.IDLE, None)


def test_deleting_a_thread_stops_everything_and_its_id_is_free_when_all_has_left() -> None:
    actor = make_actor()
    thread = make_thread(actor)
    run, waiting = running(thread), make_run(thread)
    step(run, page=1)
    delete_thread(thread_id=thread.pk, actor=actor)
    assert {stored(run).status, stored(waiting).status} == {RunStatus.INTERRUPTED}
    with pytest.raises(ThreadNotFound):
        make_run(thread)
    for again in (
        lambda: create_thread(actor=actor, thread_id=thread.pk),
        lambda: create_thread(actor=actor, thread_id=thread.pk, if_exists="do_nothing"),
        lambda: make_run(thread, create_thread=True),
    ):
        with pytest.raises(ThreadDeleting):
            again()
    assert remove_deleted_threads() == 0
    leave(run)
    assert remove_deleted_threads() == 1
    assert (Thread.objects.count(), Run.objects.count(), Checkpoint.objects.count()) == (0, 0, 0)
    assert create_thread(actor=actor, thread_id=thread.pk).pk == thread.pk


def test_a_late_write_to_a_thread_that_has_gone_is_fenced() -> None:
    actor = make_actor()
    thread = make_thread(actor)
    run = running(thread)
    delete_thread(thread_id=thread.pk, actor=actor)
    leave(run)
    remove_deleted_threads()
    for late in (lambda: step(run, page=1), lambda: finish(run)):
        with pytest.raises(Fenced):
            late()
    assert leave(run) is None


def test_a_taken_id_is_refused_or_answered_and_a_strangers_is_always_refused() -> None:
    ada, eve = make_actor("ada"), make_actor("eve")
    thread = create_thread(actor=ada, metadata={"who": "ada"})
    with pytest.raises(ThreadExists):
        create_thread(actor=ada, thread_id=thread.pk)
    same = create_thread(actor=ada, thread_id=thread.pk, metadata={"who": "b"}, if_exists="do_nothing")
    assert (same.pk, same.metadata) == (thread.pk, {"who": "ada"})
    with pytest.raises(ThreadExists):
        create_thread(actor=eve, thread_id=thread.pk, if_exists="do_nothing")


def test_the_metadata_of_a_thread_is_merged_shallowly() -> None:
    actor = make_actor()
    thread = create_thread(actor=actor, metadata={"a": {"b": 1}, "c": 1})
    updated = update_thread(thread_id=thread.pk, actor=actor, metadata={"a": {"d": 2}, "c": None})
    thread.refresh_from_db()
    assert updated.metadata == thread.metadata == {"a": {"d": 2}, "c": None}
    with pytest.raises(ThreadNotFound):
        update_thread(thread_id=thread.pk, actor=make_actor("eve"), metadata={})


def test_removing_a_run_keeps_its_idempotency_key_as_gone() -> None:
    key = Idempotency.of(key="k", route="r", body={})
    run = create(make_thread(), idempotency=key).run
    finish(claim(run))
    delete(run)
    remove_deleted_runs()
    assert IdempotencyKey.objects.get().run is None


def test_keys_are_forgotten_after_a_day(settings: Settings) -> None:
    thread = make_thread()
    for name in ("old", "young"):
        create(thread, idempotency=Idempotency.of(key=name, route="r", body={}))
    IdempotencyKey.objects.filter(key="old").update(created_at=ClockTimestamp() - timedelta(hours=25))
    assert [forget_idempotency_keys(), forget_idempotency_keys()] == [1, 0]
    assert IdempotencyKey.objects.get().key == "young"
