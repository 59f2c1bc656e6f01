"""A state changed by hand: under the thread's lock, never beside a run."""

import pytest

from runs.errors import CheckpointNotFound, InvalidJSON, ThreadBusy, ThreadNotFound
from runs.models import Checkpoint, Thread
from runs.services.history import get_history
from runs.services.state import update_state
from runs.states import CancelAction, RunStatus
from tests.support.factories import (
    SYSTEM,
    cancel,
    claim,
    finish,
    head_values,
    leave,
    make_actor,
    make_run,
    make_thread,
    running,
    step,
)

pytestmark = pytest.mark.usefixtures("intact")


def update(thread: Thread, **values: object) -> Checkpoint:
    return update_state(thread_id=thread.pk, actor=SYSTEM, values=values)


def test_it_is_merged_into_the_state_and_becomes_the_head() -> None:
    thread = make_thread()
    first = update(thread, a=1, b=1)
    second = update(thread, b=2)

    assert head_values(thread) == {"a": 1, "b": 2}
    assert (first.parent, second.parent, second.step, second.run) == (None, first, 1, None)
    assert second.metadata == {"source": "update", "step": 1, "parents": {}, "updated_by": "system/test"}
    assert get_history(thread_id=thread.pk, owner=None) == [second, first]


def test_a_run_goes_on_from_it_and_a_rollback_returns_to_it() -> None:
    thread = make_thread()
    updated = update(thread, a=1)
    run = running(thread)
    step(run, b=2)
    assert head_values(thread) == {"a": 1, "b": 2}
    cancel(run, CancelAction.ROLLBACK)
    leave(run)

    thread.refresh_from_db()
    assert thread.head == updated


def test_a_former_checkpoint_can_be_the_beginning_of_another_line() -> None:
    thread = make_thread()
    first, _ = update(thread, a=1), update(thread, a=2)
    other = update_state(thread_id=thread.pk, actor=SYSTEM, values={"b": 3}, checkpoint_id=first.pk)

    assert head_values(thread) == {"a": 1, "b": 3}
    assert get_history(thread_id=thread.pk, owner=None) == [other, first]


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_in_flight_forbids_it(begun: bool) -> None:
    thread = make_thread()
    run = make_run(thread)
    if begun:
        step(claim(run), a=1)
    before = head_values(thread)

    with pytest.raises(ThreadBusy, match="Wait for it to finish, or cancel it first"):
        update(thread, a=2)
    assert head_values(thread) == before


def test_a_run_that_is_stopping_does_not_forbid_it_and_cannot_undo_it() -> None:
    thread = make_thread()
    run = running(thread)
    step(run, a=1)
    cancel(run)
    update(thread, b=2)
    leave(run)

    assert head_values(thread) == {"a": 1, "b": 2}
    thread.refresh_from_db()
    assert thread.status == "interrupted"  # what was still to be done is still to be done


def test_a_thread_that_failed_says_so_until_a_run_ends() -> None:
    thread = make_thread()
    finish(running(thread), RunStatus.ERROR)
    update(thread, a=1)

    thread.refresh_from_db()
    assert thread.status == "error"


def test_what_is_given_up_is_no_beginning() -> None:
    thread = make_thread()
    run = running(thread)
    given_up = step(run, a=1)
    cancel(run, CancelAction.ROLLBACK)
    leave(run)

    with pytest.raises(CheckpointNotFound):
        update_state(thread_id=thread.pk, actor=SYSTEM, values={}, checkpoint_id=given_up.pk)
    assert head_values(thread) is None


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(InvalidJSON):
        update(make_thread(), a="\0")


def test_a_strangers_thread_is_not_there() -> None:
    thread = make_thread(make_actor("ada"))
    with pytest.raises(ThreadNotFound):
        update_state(thread_id=thread.pk, actor=make_actor("bob"), values={"a": 1})
    assert not Checkpoint.objects.exists()
