"""Windows between two steps of a service, with a rival inside: each function plays one and returns what came out.

The tests of races assert what must come out; the negative controls break the code first and assert what comes out then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock
from uuid import UUID

from runs.models import Run, Thread
from runs.services.cancel import cancel_run
from runs.services.state import update_state
from runs.states import CancelAction
from tests.support.factories import (
    SYSTEM,
    claim,
    drain,
    finish,
    leave,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    try_claim,
)
from tests.support.fixtures import Outbox
from tests.support.race import rival_after, rival_before


@contextmanager
def no_thread_lock() -> Iterator[None]:
    """Everybody reads the thread's row and nobody locks it."""
    with mock.patch("runs.locks.THREAD_LOCK", ""):
        yield


def admit_while_admitting() -> list[Any]:
    """A second `reject` arrives when the first has decided and not yet inserted; what each got."""
    thread = make_thread()
    with rival_after("runs.services.create.admit", lambda: make_run(thread, "reject")) as rival:
        first = make_run(thread, "reject")
    return [first, rival.outcome()]


def write_while_rolling_back(write: Callable[[Run], object] = step) -> tuple[Thread, Run, object]:
    """A checkpoint arrives when the rollback has changed the run and not yet the head; thread, run and the outcome."""
    thread = make_thread()
    finish(running(thread), page=0)
    run = running(thread)
    step(run, page=1)
    with rival_before("runs.services.stop.move_head", lambda: write(run)) as rival:
        cancel_run(run_id=run.pk, actor=SYSTEM, action=CancelAction.ROLLBACK)
    thread.refresh_from_db()
    run.refresh_from_db()
    return thread, run, rival.outcome()


def finish_while_enqueueing(outbox: Outbox) -> tuple[Run, list[UUID]]:
    """A run finishes when its successor's create has seen it busy and not yet inserted; successor and publishes."""
    thread = make_thread()
    run = running(thread)
    outbox.clear()
    with rival_before("runs.services.create._insert", lambda: finish(run)) as rival:
        successor = make_run(thread, "enqueue")
    assert isinstance(rival.outcome(), Run)
    return successor, outbox.published


def roll_back_the_second_attempt() -> tuple[Thread, UUID | None]:
    """A run crashes after a step, is claimed again and cancelled with rollback; the thread and its head before."""
    thread = make_thread()
    before = finish(running(thread), page=0).thread.head_id
    run = running(thread, assistant="resumable")
    step(run, page=1)
    leave(run)
    step(claim(run), page=2)
    cancel_run(run_id=run.pk, actor=SYSTEM, action=CancelAction.ROLLBACK)
    thread.refresh_from_db()
    return thread, before


def change_the_state_while_admitting() -> Any:
    """The state is changed by hand when a create has found the thread idle and not yet inserted; what came of it."""
    thread = make_thread()
    change = partial(update_state, thread_id=thread.pk, actor=SYSTEM, values={"page": 1})
    with rival_after("runs.services.create.admit", change) as rival:
        make_run(thread, "reject")
    return rival.outcome()


def begin_while_the_state_is_changed() -> tuple[Run, UUID]:
    """A run is accepted and claimed when a change of the state has found the thread idle and not moved its head.

    The run, and the checkpoint of the change.
    """
    thread = make_thread()
    with rival_before("runs.services.state.move_head", lambda: running(thread)) as rival:
        changed = update_state(thread_id=thread.pk, actor=SYSTEM, values={"page": 1})
    begun = rival.outcome()
    assert isinstance(begun, Run)
    return begun, changed.pk


def drain_while_claiming() -> tuple[Run | None, set[UUID], set[UUID]]:
    """A drain arrives when a claim has read its worker and not yet written.

    What the claim got, and the runs that the worker held when the drain had returned, and when both had.
    """
    run, worker = make_run(make_thread()), make_worker()

    def held() -> set[UUID]:
        return set(Run.objects.leased().filter(worker=worker).values_list("pk", flat=True))

    def drain_and_look() -> set[UUID]:
        drain(worker)
        return held()

    with rival_after("runs.services.lifecycle.load_claimant", drain_and_look) as rival:
        claimed = try_claim(run, worker)
    then = rival.outcome()
    assert isinstance(then, set)
    return claimed, then, held()


def claim_beside_a_stopping_run() -> Run | None:
    """A run that was displaced is still leased when its successor's message arrives; what the claim got."""
    thread = make_thread()
    stopping = running(thread)
    successor = make_run(thread, "interrupt")
    stopping.refresh_from_db()
    assert stopping.is_stopping
    return try_claim(successor)
