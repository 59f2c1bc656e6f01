"""How runs end by themselves, what they leave in the thread, and what is stored on the way."""

from datetime import timedelta

import pytest
from django.db.models import F

from runs.errors import Fenced, IllegalTransition
from runs.locks import lock_thread
from runs.models import Run
from runs.services.lifecycle import Outcome, executor_gone, finish_run, time_out_run
from runs.services.progress import Report, report_progress
from runs.services.transition import change_status
from runs.states import Departure, RunStatus, ThreadStatus
from tests.support.factories import (
    SYSTEM,
    cancel,
    claim,
    finish,
    head_values,
    history,
    leave,
    make_overdue,
    make_run,
    make_thread,
    running,
    step,
    stored,
    worker_of,
)
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")


def test_success_releases_the_lease_and_leaves_the_state() -> None:
    thread = make_thread()
    run = finish(running(thread), page=1)
    run = stored(run)
    assert (run.status, run.leased, run.error, run.reason) == (RunStatus.SUCCESS, False, None, "finished")
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.created_at < run.started_at < run.finished_at == run.updated_at
    assert head_values(thread) == {"page": 1}
    assert (thread.status, thread.error) == (ThreadStatus.IDLE, None)
    assert history(run) == [(None, "pending"), ("pending", "running"), ("running", "success")]


def test_each_step_merges_into_the_state() -> None:
    thread = make_thread()
    run = running(thread)
    first, second = step(run, page=1, title="t"), step(run, page=2)
    assert (first.step, second.step, second.parent_id) == (0, 1, first.pk)
    assert (second.next, second.values) == (["echo"], {"page": 2, "title": "t"})
    finish(run)
    assert head_values(thread) == {"page": 2, "title": "t"}
    assert thread.head is not None
    assert (thread.head.next, thread.head.parent_id) == ([], second.pk)


def test_success_without_a_value_on_an_empty_thread_leaves_it_empty() -> None:
    thread = make_thread()
    finish(running(thread))
    assert head_values(thread) is None


def test_an_error_is_kept_and_shown_on_the_thread() -> None:
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    finish(run, RunStatus.ERROR)
    assert stored(run).error == {"type": "ValueError", "message": "no", "traceback": ""}
    assert head_values(thread) == {"page": 1}
    assert (thread.status, thread.error) == (ThreadStatus.ERROR, {"error": "ValueError", "message": "no"})


def test_a_later_success_clears_the_error_of_the_thread() -> None:
    thread = make_thread()
    finish(running(thread), RunStatus.ERROR)
    finish(running(thread))
    thread.refresh_from_db()
    assert (thread.status, thread.error) == (ThreadStatus.IDLE, None)


def test_a_run_that_was_stopped_half_way_leaves_the_thread_interrupted() -> None:
    thread = make_thread()
    run = running(thread)
    step(run, page=1)
    cancel(run)
    thread.refresh_from_db()
    assert thread.status == ThreadStatus.INTERRUPTED


def test_a_finish_hands_the_thread_to_the_next_in_the_queue(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    run, successor, last = running(thread), make_run(thread), make_run(thread)
    outbox.clear()
    finish(run)
    assert outbox.published == [successor.pk]
    assert (stored(successor).dispatches, stored(last).dispatches) == (1, 0)
    thread.refresh_from_db()
    assert thread.status == ThreadStatus.BUSY


def test_an_attempt_that_leaves_threads_behind_keeps_its_lease(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    run, successor = running(thread), make_run(thread)
    outbox.clear()
    finish_run(run_id=run.pk, attempt=1, outcome=Outcome(status=RunStatus.SUCCESS), left=False)
    assert (stored(run).status, stored(run).is_stopping, outbox.published) == (RunStatus.SUCCESS, True, [])
    leave(run)
    assert (stored(run).is_settled, outbox.published) == (True, [successor.pk])
    assert history(run)[-2:] == [("running", "success"), ("success", "success")]


def test_nothing_is_written_after_the_end() -> None:
    thread = make_thread()
    run = finish(running(thread), page=1)
    before = (stored(run).updated_at, thread.checkpoints.count())
    for late in (
        lambda: finish(run, RunStatus.ERROR),
        lambda: step(run, page=2),
        lambda: report_progress(run_id=run.pk, attempt=1, report=Report(message_count=9)),
    ):
        with pytest.raises(Fenced):
            late()
    assert (stored(run).updated_at, thread.checkpoints.count()) == before
    assert head_values(thread) == {"page": 1}


def test_an_earlier_attempt_writes_nothing() -> None:
    thread = make_thread()
    first = running(thread)
    leave(first)
    second = claim(first)
    for late in (
        lambda: finish(first),
        lambda: step(first, page=1),
        lambda: report_progress(run_id=first.pk, attempt=1, report=Report(message_count=9)),
    ):
        with pytest.raises(Fenced):
            late()
    assert head_values(thread) is None
    assert finish(second, page=2).status == RunStatus.SUCCESS
    assert head_values(thread) == {"page": 2}


def test_what_was_reported_is_kept_and_absence_overwrites_nothing() -> None:
    run = running(make_thread(), model_name="asked")
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "calls": 1}
    first = Report(usage=usage, first_message="hello", message_count=1)
    report_progress(run_id=run.pk, attempt=1, report=first)
    report_progress(run_id=run.pk, attempt=1, report=Report(last_message="bye", message_count=2))
    report_progress(run_id=run.pk, attempt=1, report=Report())
    finish_run(run_id=run.pk, attempt=1, outcome=Outcome(status=RunStatus.ERROR), report=Report(model_name="used"))
    run = stored(run)
    assert (run.usage, run.model_name, run.message_count) == (usage, "used", 2)
    assert (run.first_message, run.last_message) == ("hello", "bye")


def test_what_an_interrupted_run_reports_when_it_leaves_is_kept() -> None:
    run = running(make_thread())
    cancel(run)
    executor_gone(
        run_id=run.pk,
        attempt=1,
        worker_id=worker_of(run),
        departure=Departure.LEFT,
        actor=SYSTEM,
        report=Report(usage={"total_tokens": 7}),
    )
    assert stored(run).usage == {"total_tokens": 7}
    assert stored(run).status == RunStatus.INTERRUPTED


def test_an_overdue_run_times_out_and_its_executor_is_told(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    run = make_overdue(running(thread, timeout_seconds=5))
    successor = make_run(thread)
    outbox.clear()
    timed_out = time_out_run(run_id=run.pk, attempt=1, actor=SYSTEM)
    assert timed_out is not None
    run = stored(run)
    assert (run.status, run.is_stopping, run.cancel_action) == (RunStatus.TIMEOUT, True, None)
    assert run.error == {
        "type": "RunTimedOut",
        "message": "The run exceeded its time limit of 5 seconds.",
        "traceback": "",
    }
    assert outbox.told == [("interrupt_run", {"run_id": str(run.pk), "attempt": 1, "status": "timeout"})]
    assert outbox.published == []
    leave(run)
    assert outbox.published == [successor.pk]


def test_a_run_in_time_does_not_time_out() -> None:
    run = running(make_thread())
    assert time_out_run(run_id=run.pk, attempt=1, actor=SYSTEM) is None
    assert time_out_run(run_id=make_overdue(run).pk, attempt=2, actor=SYSTEM) is None
    assert time_out_run(run_id=Run().pk, attempt=1, actor=SYSTEM) is None
    finish(run)
    assert time_out_run(run_id=run.pk, attempt=1, actor=SYSTEM) is None
    assert stored(run).status == RunStatus.SUCCESS


def test_a_finish_of_a_run_that_is_not_there_is_fenced() -> None:
    with pytest.raises(Fenced):
        finish_run(run_id=Run().pk, attempt=1, outcome=Outcome(status=RunStatus.SUCCESS))


@pytest.mark.parametrize("to", [RunStatus.PENDING, RunStatus.RUNNING, RunStatus.ERROR])
def test_a_transition_that_the_table_does_not_have_is_refused(to: RunStatus) -> None:
    run = finish(running(make_thread()))
    with pytest.raises(IllegalTransition, match=f"success -> {to}"):
        change_status(lock_thread(run.thread_id), run, to, actor=SYSTEM)
    assert len(history(run)) == 3


def test_a_clock_that_was_set_back_makes_no_run_the_last() -> None:
    """What a thread shows is of the run that has finished last, by the time that its row says."""
    thread = make_thread()
    first, second = finish(running(thread), RunStatus.ERROR), running(thread)
    Run.objects.filter(pk=first.pk).update(finished_at=F("finished_at") + timedelta(hours=1))
    finish(second, page=1)
    thread.refresh_from_db()
    assert (thread.status, thread.error) == (ThreadStatus.ERROR, {"error": "ValueError", "message": "no"})
