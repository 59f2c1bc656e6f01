"""Retry: a new run that repeats one that has ended, through the same admission as every other."""

from collections.abc import Callable

import pytest
from pytest_django import Settings

from runs.actors import Actor
from runs.errors import (
    CheckpointNotFound,
    NotRetryable,
    QueueFull,
    RunNotFound,
    ThreadBusy,
    UnknownAssistant,
    UnsupportedStrategyError,
)
from runs.models import Run, RunEvent
from runs.services.retry import retry_run
from runs.services.threads import delete_run, delete_thread
from runs.states import RunStatus
from tests.support.factories import SYSTEM, cancel, claim, finish, leave, make_actor, make_run, make_thread, running
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")
OPERATOR = Actor(name="operator:ada", request_id="r-1")


def ended(status: RunStatus = RunStatus.ERROR, **spec: object) -> Run:
    """A run that has ended."""
    return finish(running(make_thread(), **spec), status)


def test_a_retry_repeats_the_request_and_leaves_the_old_run_as_it_is(outbox: Outbox) -> None:
    asked = {"input": {"n": 1}, "config": {"tags": ["a"]}}
    old = ended(kwargs=asked, metadata={"customer": 7}, timeout_seconds=5, max_attempts=2)
    before = Run.objects.filter(pk=old.pk).values().get()

    created = retry_run(run_id=old.pk, actor=OPERATOR, reason="the model was away")

    new = Run.objects.get(pk=created.run.pk)
    assert (new.retry_of_id, new.thread_id, new.owner_id) == (old.pk, old.thread_id, old.owner_id)
    assert (new.assistant, new.kwargs, new.metadata) == ("echo", asked, {"customer": 7})
    assert (new.timeout_seconds, new.max_attempts) == (5, 2)
    assert (new.status, new.attempt, new.multitask_strategy, new.on_disconnect) == ("pending", 0, "enqueue", "continue")
    assert Run.objects.filter(pk=old.pk).values().get() == before
    event = RunEvent.objects.get(run=new)
    assert (event.from_status, event.to_status) == (None, "pending")
    assert (event.actor, event.reason, event.request_id) == ("operator:ada", "the model was away", "r-1")


@pytest.mark.parametrize("end", [RunStatus.SUCCESS, RunStatus.ERROR])
def test_whatever_has_ended_can_be_retried(end: RunStatus) -> None:
    old = ended(end)
    assert retry_run(run_id=old.pk, actor=OPERATOR).run.retry_of_id == old.pk


def test_a_stopping_run_can_be_retried_and_the_new_one_waits_until_it_is_settled() -> None:
    old = cancel(running(make_thread()))
    new = retry_run(run_id=old.pk, actor=OPERATOR).run
    assert new.dispatched_at is None
    leave(old)
    new.refresh_from_db()
    assert new.dispatched_at is not None


@pytest.mark.parametrize("make", [make_run, running])
def test_what_is_in_flight_cannot_be_retried(make: Callable[..., Run]) -> None:
    run = make(make_thread())
    with pytest.raises(NotRetryable, match=f"Run {run.pk} is {run.status}"):
        retry_run(run_id=run.pk, actor=OPERATOR)
    assert Run.objects.count() == 1


def test_the_strategy_is_enqueue_unless_the_operator_says_otherwise() -> None:
    old = ended()
    busy = running(old.thread)
    with pytest.raises(ThreadBusy):
        retry_run(run_id=old.pk, actor=OPERATOR, strategy="reject")
    with pytest.raises(UnsupportedStrategyError):
        retry_run(run_id=old.pk, actor=OPERATOR, strategy="hope")
    assert Run.objects.count() == 2
    assert retry_run(run_id=old.pk, actor=OPERATOR).run.status == RunStatus.PENDING
    created = retry_run(run_id=old.pk, actor=OPERATOR, strategy="interrupt")
    assert created.displaced[0].pk == busy.pk


def test_a_full_queue_refuses_a_retry(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_QUEUED_RUNS": 1}
    old = ended()
    make_run(old.thread)
    with pytest.raises(QueueFull):
        retry_run(run_id=old.pk, actor=OPERATOR)


def test_an_owner_retries_only_what_is_theirs() -> None:
    old = ended()
    with pytest.raises(RunNotFound):
        retry_run(run_id=old.pk, actor=make_actor("stranger"))
    assert retry_run(run_id=old.pk, actor=make_actor("ada")).run.owner_id == old.owner_id


def test_what_was_deleted_is_not_retried() -> None:
    old = ended()
    delete_run(thread_id=old.thread_id, run_id=old.pk, actor=SYSTEM)
    with pytest.raises(RunNotFound):
        retry_run(run_id=old.pk, actor=OPERATOR)
    other = ended()
    delete_thread(thread_id=other.thread_id, actor=SYSTEM)
    with pytest.raises(RunNotFound):
        retry_run(run_id=other.pk, actor=OPERATOR)


def test_what_was_deleted_between_the_look_and_the_lock_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ended()
    delete_run(thread_id=old.thread_id, run_id=old.pk, actor=SYSTEM)
    monkeypatch.setattr("runs.services.retry.get_run", lambda **_: old)
    with pytest.raises(RunNotFound):
        retry_run(run_id=old.pk, actor=OPERATOR)


def test_an_assistant_or_a_checkpoint_that_is_gone_is_named() -> None:
    old = ended()
    Run.objects.filter(pk=old.pk).update(assistant="retired")
    with pytest.raises(UnknownAssistant):
        retry_run(run_id=old.pk, actor=OPERATOR)
    forked = ended()
    Run.objects.filter(pk=forked.pk).update(kwargs={"checkpoint_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"})
    with pytest.raises(CheckpointNotFound):
        retry_run(run_id=forked.pk, actor=OPERATOR)


def test_retries_form_a_chain() -> None:
    first = ended()
    second = finish(claim(retry_run(run_id=first.pk, actor=OPERATOR).run), RunStatus.ERROR)
    third = retry_run(run_id=second.pk, actor=OPERATOR).run
    assert [run.pk for run in first.retries.all()] == [second.pk]
    assert third.retry_of_id == second.pk
