"""A copy of a thread is a thread of its own."""

from typing import Any
from uuid import uuid4

import pytest

from runs.errors import ThreadNotFound
from runs.models import Checkpoint, Thread
from runs.services.copying import copy_thread
from runs.services.history import get_history
from runs.services.threads import delete_thread, delete_threads, update_thread
from runs.states import CancelAction
from tests.support.factories import (
    SYSTEM,
    cancel,
    finish,
    head_values,
    leave,
    make_actor,
    make_thread,
    running,
    step,
)

pytestmark = pytest.mark.usefixtures("intact")


def states(thread: Thread) -> list[tuple[Any, int, Any]]:
    return [(one.values, one.step, one.metadata) for one in get_history(thread_id=thread.pk, owner=None)]


def test_it_has_the_metadata_the_state_and_the_history_and_no_runs() -> None:
    thread = make_thread()
    update_thread(thread_id=thread.pk, actor=SYSTEM, metadata={"topic": "whales"})
    run = running(thread)
    step(run, page=1)
    finish(run, page=2)
    copy = copy_thread(thread_id=thread.pk, actor=SYSTEM)

    thread.refresh_from_db()
    assert (copy.metadata, copy.status, copy.owner) == (thread.metadata, "idle", thread.owner)
    assert copy.metadata["topic"] == "whales"
    assert states(copy) == states(thread)
    assert len(states(copy)) == 2
    assert not copy.runs.exists()
    ids = [set(Checkpoint.objects.filter(thread=one).values_list("pk", flat=True)) for one in (thread, copy)]
    assert ids[0] & ids[1] == set()


def test_what_happens_to_one_does_not_touch_the_other() -> None:
    thread = make_thread()
    finish(running(thread), page=1)
    copy = copy_thread(thread_id=thread.pk, actor=SYSTEM)
    finish(running(copy), page=2)
    assert (head_values(thread), head_values(copy)) == ({"page": 1}, {"page": 2})

    delete_thread(thread_id=thread.pk, actor=SYSTEM)
    assert [values for values, *_ in states(copy)] == [{"page": 2}, {"page": 1}]


def test_an_empty_thread_has_an_empty_copy() -> None:
    copy = copy_thread(thread_id=make_thread().pk, actor=SYSTEM)
    assert (copy.head, copy.status) == (None, "idle")


def test_of_a_run_in_flight_it_has_the_steps_so_far() -> None:
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    copy = copy_thread(thread_id=thread.pk, actor=SYSTEM)
    cancel(run, CancelAction.ROLLBACK)
    leave(run)

    assert (head_values(thread), head_values(copy)) == (None, {"page": 1})
    assert copy.status == "interrupted"  # something was still to be done, and nobody does it here


def test_what_was_rolled_back_is_not_copied() -> None:
    thread = make_thread()
    finish(running(thread), page=1)
    run = running(thread)
    step(run, page=2)
    cancel(run, CancelAction.ROLLBACK)
    leave(run)

    assert [values for values, *_ in states(copy_thread(thread_id=thread.pk, actor=SYSTEM))] == [{"page": 1}]


def test_a_strangers_thread_is_not_there() -> None:
    thread = make_thread(make_actor("ada"))
    with pytest.raises(ThreadNotFound):
        copy_thread(thread_id=thread.pk, actor=make_actor("bob"))
    assert Thread.objects.count() == 1


def test_several_are_deleted_at_once_and_those_that_are_not_there_are_not_counted() -> None:
    mine, other, kept = make_thread(make_actor("ada")), make_thread(make_actor("bob")), make_thread(make_actor("ada"))
    running(mine)
    asked = [mine.pk, mine.pk, other.pk, uuid4()]

    assert delete_threads(thread_ids=asked, actor=make_actor("ada")) == 1
    assert set(Thread.objects.filter(deleted_at=None)) == {other, kept}
    assert mine.runs.get().status == "interrupted"
