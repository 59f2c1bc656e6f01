"""What cannot be stored has not happened: nobody is told of it, and it can be asked for, or is done, again."""

from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from runs.locks import lock_thread
from runs.models import ClockTimestamp, Run, Thread
from runs.services.recover import recover_stalled_runs
from runs.services.runs import get_run
from runs.statements import Statement
from runs.states import CancelAction, RunStatus
from tests.support.factories import (
    bury,
    cancel,
    head_values,
    history,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    stored,
)
from tests.support.fixtures import Outbox
from tests.support.race import Rival

pytestmark = pytest.mark.usefixtures("commits", "intact")

BEGAN = [(None, "pending"), ("pending", "running")]


def refused(*_: object, **__: object) -> Statement:
    """An insert that the database refuses."""
    return Statement("SELECT 1 / 0")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Until `undo`, no event can be written."""
    monkeypatch.setattr("runs.services.transition._event", refused)
    return monkeypatch


@pytest.mark.parametrize("action", CancelAction)
def test_a_cancel_that_cannot_be_stored_is_not_accepted_and_tells_nobody(
    action: CancelAction, outbox: Outbox, request: pytest.FixtureRequest
) -> None:
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    outbox.clear()
    full = request.getfixturevalue("full")
    with pytest.raises(DatabaseError):
        cancel(run, action)
    full.undo()
    assert (stored(run).status, stored(run).cancel_action, outbox.told) == (RunStatus.RUNNING, None, [])
    assert head_values(thread) == {"page": 1}
    assert cancel(run, action).status == RunStatus.INTERRUPTED


def test_a_recovery_and_its_event_are_stored_together_or_not_at_all(request: pytest.FixtureRequest) -> None:
    worker = make_worker()
    run = running(make_thread(), worker)
    bury(worker)
    full = request.getfixturevalue("full")
    assert recover_stalled_runs() == 0
    full.undo()
    assert (stored(run).status, stored(run).leased, history(run)) == (RunStatus.RUNNING, True, BEGAN)
    assert recover_stalled_runs() == 1
    assert history(run) == [*BEGAN, ("running", "pending")]


def test_the_time_of_a_run_is_read_after_the_lock_was_granted() -> None:
    """So the order of acceptance and the order of times are one."""
    thread = make_thread()
    creating: Rival[Run] = Rival(lambda: make_run(thread))
    with transaction.atomic():
        lock_thread(thread.pk)
        assert not creating.start().wait_until_blocked_or_done().done
        (held_until,) = Thread.objects.filter(pk=thread.pk).values_list(ClockTimestamp(), flat=True)
    created = creating.outcome()
    assert isinstance(created, Run)
    assert stored(created).created_at > held_until


def test_columns_are_never_null_so_nothing_has_to_be_guessed() -> None:
    run = make_run(make_thread())
    for column in ("status", "on_disconnect", "multitask_strategy", "metadata", "kwargs", "created_at", "updated_at"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=run.pk).update(**{column: None})
    assert get_run(run_id=run.pk, owner=None).status == RunStatus.PENDING


def test_a_run_whose_message_cannot_be_sent_stays_pending_and_is_sent_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import broker, dispatch
    from runs.services.recover import dispatch_lost_runs, forget_dispatches

    with monkeypatch.context() as patch:
        patch.setattr(broker, "send_task", fail_to_connect)
        run = make_run(make_thread())
    assert (stored(run).status, stored(run).error, outbox.published) == (RunStatus.PENDING, None, [])
    dispatch.broker_is_back()
    forget_dispatches()
    assert dispatch_lost_runs() == 1
    assert outbox.published == [run.pk]


def fail_to_connect(*_: object, **__: object) -> None:
    """What the broker's client does when the broker is away."""
    raise ConnectionError("the broker is away")
