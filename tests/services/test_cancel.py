"""Cancel: from anywhere, first wins, idempotent, and never overtaken by success."""

import pytest

from runs.actors import Actor
from runs.errors import NotCancellable, RunNotFound
from runs.models import Run, Thread
from runs.services.cancel import cancel_run, cancel_runs
from runs.services.lifecycle import time_out_run
from runs.services.runs import has_inflight
from runs.services.workers import Renewal, renew_worker
from runs.states import CancelAction, RunStatus
from tests.support.factories import (
    SYSTEM,
    cancel,
    claim,
    create,
    finish,
    head_values,
    history,
    leave,
    make_actor,
    make_overdue,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    stored,
)
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")


def test_a_running_run_is_interrupted_at_once_and_its_executor_told(outbox: Outbox, commits: None) -> None:
    run = running(make_thread())
    ada = make_actor("ada")
    cancelled = cancel(run, actor=Actor(name="user:ada", owner=ada.owner, request_id="r-1"))
    assert (cancelled.status, stored(run).status) == (RunStatus.INTERRUPTED, RunStatus.INTERRUPTED)
    run = stored(run)
    assert (run.cancel_action, run.cancelled_by, run.reason) == ("interrupt", "user:ada", "cancelled by user:ada")
    assert run.cancelled_at == run.finished_at == run.updated_at
    assert run.is_stopping
    assert outbox.told == [("interrupt_run", {"run_id": str(run.pk), "attempt": 1, "status": "interrupted"})]
    (event,) = run.events.filter(to_status=RunStatus.INTERRUPTED)
    assert (event.actor, event.request_id, event.attempt) == ("user:ada", "r-1", 1)


def test_a_pending_run_is_interrupted_and_settled_and_its_message_revoked(outbox: Outbox, commits: None) -> None:
    run = make_run(make_thread())
    cancel(run)
    run = stored(run)
    assert (run.status, run.is_settled, run.dispatched_at) == (RunStatus.INTERRUPTED, True, None)
    assert outbox.told == [("revoke", {"task_id": str(run.pk)})]


def test_a_cancel_while_it_waits_frees_the_way_for_the_next(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    first, second, third = (make_run(thread) for _ in range(3))
    outbox.clear()
    cancel(second)
    cancel(first)
    assert outbox.published == [first.pk, third.pk]
    assert claim(third).status == RunStatus.RUNNING


def test_the_first_action_and_the_first_actor_stay() -> None:
    run = running(make_thread())
    cancel(run, CancelAction.ROLLBACK, make_actor("ada"))
    before = stored(run)
    again = cancel(run, CancelAction.INTERRUPT, SYSTEM)
    after = stored(run)
    assert again.status == RunStatus.INTERRUPTED
    assert (after.cancel_action, after.cancelled_by) == ("rollback", "user:ada")
    assert (after.cancelled_at, after.updated_at) == (before.cancelled_at, before.updated_at)
    assert len(history(run)) == 3


@pytest.mark.parametrize("action", CancelAction)
def test_a_cancel_is_repeated_with_success_also_when_all_is_over(action: CancelAction) -> None:
    run = running(make_thread())
    step(run, page=1)
    cancel(run, action)
    leave(run)
    assert cancel(run, action).status == RunStatus.INTERRUPTED
    assert history(run)[-1] == ("interrupted", "interrupted")


def test_a_run_that_has_ended_by_itself_is_not_cancellable_and_says_how_it_ended() -> None:
    success, error = finish(running(make_thread())), finish(running(make_thread()), RunStatus.ERROR)
    late = make_overdue(running(make_thread()))
    time_out_run(run_id=late.pk, attempt=1, actor=SYSTEM)
    for run, status in ((success, "success"), (error, "error"), (late, "timeout")):
        with pytest.raises(NotCancellable) as refused:
            cancel(run)
        assert refused.value.extra == {"status": status}
        assert stored(run).status == status
        assert stored(run).cancel_action is None


def test_an_unknown_run_cannot_be_cancelled() -> None:
    with pytest.raises(RunNotFound):
        cancel_run(run_id=Run().pk, actor=SYSTEM)


def test_a_stranger_cannot_cancel() -> None:
    run = make_run(make_thread(make_actor("ada")))
    with pytest.raises(RunNotFound):
        cancel(run, actor=make_actor("eve"))
    with pytest.raises(RunNotFound):
        cancel_run(run_id=run.pk, thread_id=Thread().pk, actor=SYSTEM)
    assert stored(run).status == RunStatus.PENDING


def test_an_action_that_there_is_not_is_refused() -> None:
    run = make_run(make_thread())
    with pytest.raises(ValueError, match="explode"):
        cancel_run(run_id=run.pk, actor=SYSTEM, action="explode")  # type: ignore[arg-type]
    assert stored(run).status == RunStatus.PENDING


def test_a_cancel_right_after_the_claim_is_never_overtaken() -> None:
    run = claim(make_run(make_thread()))
    cancel(run)
    leave(run)
    assert stored(run).status == RunStatus.INTERRUPTED


def test_a_worker_that_heard_nothing_learns_of_the_cancel_when_it_renews() -> None:
    worker = make_worker()
    run = running(make_thread(), worker)
    seen = renew_worker(worker.pk)
    cancel(run)
    told = renew_worker(worker.pk)
    assert seen is not None
    assert told is not None
    assert [(held.run_id, held.attempt, held.status) for held in seen.held] == [(run.pk, 1, RunStatus.RUNNING)]
    assert [(held.run_id, held.attempt, held.status) for held in told.held] == [(run.pk, 1, RunStatus.INTERRUPTED)]
    leave(run)
    assert renew_worker(worker.pk) == Renewal(draining=False, held=[])


def test_force_also_asks_for_the_death_of_the_process(outbox: Outbox, commits: None) -> None:
    run = running(make_thread())
    cancel(run)
    outbox.clear()
    cancel_run(run_id=run.pk, actor=SYSTEM, force=True)
    assert outbox.told == [("force_stop_run", {"run_id": str(run.pk), "attempt": 1})]
    leave(run)
    outbox.clear()
    cancel_run(run_id=run.pk, actor=SYSTEM, force=True)
    assert outbox.told == []


def test_force_interrupts_nothing_before_it_kills(outbox: Outbox, commits: None) -> None:
    """Otherwise the run might leave first, and the process that was to die would stay."""
    run = running(make_thread())
    outbox.clear()
    assert cancel_run(run_id=run.pk, actor=SYSTEM, force=True).status == RunStatus.INTERRUPTED
    assert outbox.told == [("force_stop_run", {"run_id": str(run.pk), "attempt": 1})]


def test_force_ends_what_has_timed_out_and_does_not_leave(outbox: Outbox, commits: None) -> None:
    run = make_overdue(running(make_thread()))
    time_out_run(run_id=run.pk, attempt=1, actor=SYSTEM)
    outbox.clear()
    assert cancel_run(run_id=run.pk, actor=SYSTEM, force=True).status == RunStatus.TIMEOUT
    assert outbox.told == [("force_stop_run", {"run_id": str(run.pk), "attempt": 1})]
    assert stored(run).cancel_action is None
    with pytest.raises(NotCancellable):
        cancel(run)
    leave(run)
    with pytest.raises(NotCancellable):
        cancel_run(run_id=run.pk, actor=SYSTEM, force=True)


def test_interrupt_keeps_every_step_whose_head_move_was_committed() -> None:
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    step(run, page=2)
    cancel(run)
    assert head_values(thread) == {"page": 2}


def test_rollback_returns_head_values_and_interrupts_to_what_they_were() -> None:
    thread = make_thread()
    before = finish(running(thread), page=0, title="t").thread.head_id
    run = running(thread)
    step(run, page=1)
    step(run, title="u")
    cancel(run, CancelAction.ROLLBACK)
    assert (head_values(thread), thread.head_id) == ({"page": 0, "title": "t"}, before)
    run = stored(run)
    assert run.rolled_back_at == run.cancelled_at
    assert (run.status, run.error) == (RunStatus.INTERRUPTED, None)


def test_rollback_on_a_thread_that_was_empty_empties_it() -> None:
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    cancel(run, CancelAction.ROLLBACK)
    assert head_values(thread) is None


def test_rollback_before_the_first_step_changes_nothing() -> None:
    thread = make_thread()
    before = finish(running(thread), page=0).thread.head_id
    cancel(running(thread), CancelAction.ROLLBACK)
    thread.refresh_from_db()
    assert thread.head_id == before


@pytest.mark.parametrize("assistant", ["echo", "resumable"])
@pytest.mark.parametrize("moment", ["between two attempts", "in the second attempt"])
def test_rollback_of_a_run_that_crashed_returns_to_before_its_first_attempt(assistant: str, moment: str) -> None:
    thread = make_thread()
    before = finish(running(thread), page=0).thread.head_id
    run = running(thread, assistant=assistant)
    step(run, page=1)
    leave(run)
    if moment == "in the second attempt":
        step(claim(run), page=2)
    cancel(run, CancelAction.ROLLBACK)
    thread.refresh_from_db()
    assert thread.head_id == before
    assert stored(run).rolled_back_at is not None


def test_rollback_of_a_run_that_never_began_restores_nothing() -> None:
    thread = make_thread()
    finish(running(thread), page=0)
    run = make_run(thread)
    cancel(run, CancelAction.ROLLBACK)
    assert (stored(run).cancel_action, stored(run).rolled_back_at) == ("rollback", None)
    assert head_values(thread) == {"page": 0}


def test_after_its_cancel_the_thread_is_free_for_the_next() -> None:
    thread = make_thread()
    running(thread)
    replacement = create(thread, "interrupt").run
    cancel(replacement)
    assert not has_inflight(thread_id=thread.pk)
    assert create(thread, "reject").run.status == RunStatus.PENDING


def test_many_are_cancelled_at_once_within_what_the_caller_owns() -> None:
    ada, eve = make_actor("ada"), make_actor("eve")
    mine, other, strangers = make_thread(ada), make_thread(ada), make_thread(eve)
    first, second = running(mine), make_run(mine)
    third, foreign = make_run(other), make_run(strangers)
    done = finish(running(make_thread(ada)))
    cancelled = cancel_runs(actor=ada)
    assert {run.pk for run in cancelled} == {first.pk, second.pk, third.pk}
    assert (stored(foreign).status, stored(done).status) == (RunStatus.PENDING, RunStatus.SUCCESS)
    assert cancel_runs(actor=ada) == []


def test_many_are_chosen_by_thread_by_id_or_by_status() -> None:
    actor = make_actor()
    one, other = make_thread(actor), make_thread(actor)
    first, second, third = running(one), make_run(one), make_run(other)
    by_status = cancel_runs(actor=actor, statuses=[RunStatus.RUNNING])
    by_id = cancel_runs(actor=actor, thread_id=other.pk, run_ids=[second.pk, third.pk])
    by_thread = cancel_runs(actor=actor, thread_id=one.pk, action=CancelAction.ROLLBACK)
    assert [[run.pk for run in runs] for runs in (by_status, by_id, by_thread)] == [[first.pk], [third.pk], [second.pk]]
