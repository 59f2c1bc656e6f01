"""Claims: who may, what a claim writes, and the dispatch that follows a claim that is lost."""

import pytest

from runs.models import ClockTimestamp, Run
from runs.services.lifecycle import claim_run
from runs.states import Departure, RunStatus
from tests.support.factories import (
    bury,
    cancel,
    claim,
    finish,
    head_values,
    history,
    leave,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
    stored,
    try_claim,
)
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")


def test_a_claim_begins_the_next_attempt_under_a_lease_and_a_deadline() -> None:
    thread = make_thread()
    before = finish(running(thread), page=0).thread.head_id
    run, worker = make_run(thread, timeout_seconds=5), make_worker()
    claim(run, worker)
    run = stored(run)
    assert (run.status, run.attempt, run.leased, run.worker_id) == (RunStatus.RUNNING, 1, True, worker.pk)
    assert (run.base_id, run.dispatched_at, run.dispatches) == (before, None, 0)
    assert run.started_at is not None
    assert run.timeout_at is not None
    assert (run.timeout_at - run.started_at).total_seconds() == 5
    assert run.updated_at > run.created_at
    assert history(run) == [(None, "pending"), ("pending", "running")]


def test_a_run_is_claimed_once() -> None:
    run = running(make_thread())
    assert try_claim(run) is None
    assert stored(run).attempt == 1


def test_a_run_that_was_cancelled_before_it_began_never_begins() -> None:
    run = make_run(make_thread())
    cancel(run)
    assert try_claim(run) is None
    assert history(run) == [(None, "pending"), ("pending", "interrupted")]


def test_an_unknown_run_cannot_be_claimed() -> None:
    assert claim_run(run_id=Run().pk, worker_id=make_worker().pk) is None


def test_a_buried_worker_claims_nothing_and_the_run_is_called_again(outbox: Outbox, commits: None) -> None:
    run, worker = make_run(make_thread()), make_worker()
    bury(worker)
    outbox.clear()
    assert try_claim(run, worker) is None
    assert (stored(run).status, outbox.published) == (RunStatus.PENDING, [run.pk])


def test_a_claim_that_a_burial_beats_hands_the_turn_on(outbox: Outbox, commits: None) -> None:
    run, worker = make_run(make_thread()), make_worker()
    bury(worker)
    outbox.clear()
    assert try_claim(run, worker) is None
    assert outbox.published == [run.pk]


def test_an_unknown_worker_claims_nothing() -> None:
    run = make_run(make_thread())
    assert claim_run(run_id=run.pk, worker_id=Run().pk) is None


def test_nothing_begins_while_the_predecessor_runs_or_stops() -> None:
    thread = make_thread()
    first, second = running(thread), make_run(thread)
    assert try_claim(second) is None
    cancel(first)
    assert try_claim(second) is None
    leave(first)
    assert claim(second).attempt == 1


def test_a_message_that_comes_out_of_turn_calls_the_run_whose_turn_it_is(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    first, second = make_run(thread), make_run(thread)
    outbox.clear()
    assert try_claim(second) is None
    assert outbox.published == [first.pk]
    assert stored(first).dispatches == 2


def test_a_message_that_comes_while_something_is_leased_calls_nobody(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    running(thread)
    second = make_run(thread)
    outbox.clear()
    assert try_claim(second) is None
    assert outbox.published == []


def test_a_scheduled_run_waits_for_its_time() -> None:
    run = make_run(make_thread(), after_seconds=3600)
    assert try_claim(run) is None
    Run.objects.filter(pk=run.pk).update(not_before=ClockTimestamp(), dispatched_at=ClockTimestamp())
    assert claim(run).status == RunStatus.RUNNING


def test_a_run_that_has_begun_goes_before_all_others() -> None:
    thread = make_thread()
    scheduled = make_run(thread, after_seconds=3600)
    begun = running(thread)
    make_run(thread)
    leave(begun, Departure.CRASH)
    Run.objects.filter(pk=scheduled.pk).update(not_before=ClockTimestamp())
    assert try_claim(scheduled) is None
    assert claim(begun).attempt == 2


def test_a_later_attempt_starts_over_from_the_base() -> None:
    thread = make_thread()
    finish(running(thread), page=0)
    run = running(thread)
    given_up = step(run, page=1)
    leave(run, Departure.CRASH)
    assert head_values(thread) == {"page": 1}
    again = claim(run)
    assert (again.attempt, again.base_id) == (2, run.base_id)
    assert head_values(thread) == {"page": 0}
    assert not thread.checkpoints.forkable().filter(pk=given_up.pk).exists()


def test_a_later_attempt_of_a_resumable_assistant_continues_from_the_head() -> None:
    thread = make_thread()
    finish(running(thread), page=0)
    run = running(thread, assistant="resumable")
    kept = step(run, page=1)
    leave(run, Departure.CRASH)
    again = claim(run)
    assert (again.attempt, again.base_id) == (2, run.base_id)
    assert head_values(thread) == {"page": 1}
    assert thread.checkpoints.forkable().filter(pk=kept.pk).exists()


def test_a_later_attempt_of_an_assistant_that_is_gone_starts_over() -> None:
    thread = make_thread()
    run = running(thread, assistant="resumable")
    step(run, page=1)
    leave(run, Departure.CRASH)
    Run.objects.filter(pk=run.pk).update(assistant="gone")
    claim(run)
    assert head_values(thread) is None
