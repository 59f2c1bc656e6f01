"""A thread's state and the states before it: the lineage of its head, without what was rolled back."""

import pytest

from runs.errors import CheckpointNotFound, InvalidRequest, ThreadNotFound
from runs.models import Checkpoint, Thread
from runs.services.history import get_history, get_state, get_thread
from runs.states import CancelAction
from tests.support.factories import cancel, claim, finish, leave, make_actor, make_run, make_thread, running, step

pytestmark = pytest.mark.usefixtures("intact")


def pages(thread: Thread, **options: object) -> list[int]:
    """The page that each state of the history shows."""
    found = get_history(thread_id=thread.pk, owner=None, **options)  # type: ignore[arg-type]
    return [checkpoint.values["page"] for checkpoint in found]


def book(last: int) -> tuple[Thread, list[Checkpoint]]:
    """A thread whose one run wrote page after page."""
    thread = make_thread()
    run = running(thread)
    written = [step(run, page=page) for page in range(1, last)]
    head = finish(run, page=last).thread.head
    assert head is not None
    return thread, [*written, head]


def test_an_empty_thread_has_no_state_and_no_history() -> None:
    thread = make_thread()
    assert get_state(thread_id=thread.pk, owner=None) is None
    assert get_history(thread_id=thread.pk, owner=None) == []


def test_the_history_goes_from_the_head_to_the_beginning() -> None:
    thread, written = book(3)
    assert get_state(thread_id=thread.pk, owner=None) == written[-1]
    assert pages(thread) == [3, 2, 1]
    assert pages(thread, limit=2) == [3, 2]
    assert pages(thread, limit=0) == []
    assert pages(thread, before=written[1].pk) == [1]
    assert pages(thread, before=written[0].pk) == []
    assert pages(thread, metadata={"step": 1}) == [2]


def test_a_checkpoint_names_the_run_and_the_attempt_that_wrote_it() -> None:
    thread = make_thread()
    run = running(thread)
    assert step(run, page=1).metadata == {
        "source": "loop",
        "step": 0,
        "parents": {},
        "run_id": str(run.pk),
        "run_attempt": 1,
        "graph_id": "echo",
    }


@pytest.mark.parametrize("limit", [-1, 1001])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    with pytest.raises(InvalidRequest):
        get_history(thread_id=make_thread().pk, owner=None, limit=limit)


def test_after_a_rollback_state_and_history_are_those_before_the_run() -> None:
    thread, written = book(2)
    run = running(thread)
    rolled_back = step(run, page=3)
    cancel(run, CancelAction.ROLLBACK)
    leave(run)
    assert get_state(thread_id=thread.pk, owner=None) == written[-1]
    assert pages(thread) == [2, 1]
    with pytest.raises(CheckpointNotFound):
        get_state(thread_id=thread.pk, owner=None, checkpoint_id=rolled_back.pk)
    with pytest.raises(CheckpointNotFound):
        pages(thread, before=rolled_back.pk)
    finish(running(thread), page=4)
    assert pages(thread) == [4, 2, 1]


def test_what_a_lost_attempt_wrote_is_no_state_of_the_thread() -> None:
    thread, _ = book(1)
    run = running(thread)
    lost = step(run, page=2)
    leave(run)
    finish(claim(run), page=3)
    assert pages(thread) == [3, 1]
    with pytest.raises(CheckpointNotFound):
        get_state(thread_id=thread.pk, owner=None, checkpoint_id=lost.pk)


def test_a_fork_has_the_history_of_its_checkpoint() -> None:
    thread, written = book(3)
    finish(claim(make_run(thread, kwargs={"checkpoint_id": str(written[0].pk)})), page=9)
    assert pages(thread) == [9, 1]


def test_a_checkpoint_is_found_only_on_its_own_thread() -> None:
    _, written = book(1)
    with pytest.raises(CheckpointNotFound):
        get_state(thread_id=make_thread().pk, owner=None, checkpoint_id=written[0].pk)


def test_a_strangers_thread_looks_like_a_missing_one() -> None:
    thread = make_thread(make_actor("ada"))
    eve = make_actor("eve").owner
    for read in (get_thread, get_state, get_history):
        with pytest.raises(ThreadNotFound):
            read(thread_id=thread.pk, owner=eve)
    with pytest.raises(ThreadNotFound):
        get_thread(thread_id=Thread().pk, owner=None)
