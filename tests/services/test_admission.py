"""What a create stores, and what each strategy does to the runs in flight."""

import math
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from runs.actors import Actor
from runs.assistants import assistant, registry
from runs.errors import (
    CheckpointNotFound,
    InvalidJSON,
    InvalidRequest,
    QueueFull,
    ThreadBusy,
    ThreadNotFound,
    UnknownAssistant,
    UnsupportedStrategyError,
)
from runs.models import Run, Thread, new_id
from runs.services.runs import get_run, queue_position, queue_positions
from runs.services.threads import create_thread
from runs.states import CancelAction, DisconnectMode, MultitaskStrategy, RunStatus, ThreadStatus
from tests.support.factories import (
    cancel,
    claim,
    create,
    finish,
    history,
    leave,
    make_actor,
    make_run,
    make_thread,
    running,
    step,
    stored,
    try_claim,
)
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("intact")

#: What the metadata of a run says of its assistant.
NAMES = {"created_by": "system", "graph_id": "echo", "assistant_id": str(registry.assistant_id("echo"))}


def test_a_new_run_is_pending_and_keeps_what_was_asked() -> None:
    thread = make_thread()
    kwargs = {"input": {"page": 1}, "config": {"recursion_limit": 7}}
    run = stored(make_run(thread, kwargs=kwargs, metadata={"who": "ada"}, model_name="m", on_disconnect="continue"))
    assert (run.status, run.attempt, run.leased, run.error) == (RunStatus.PENDING, 0, False, None)
    assert (run.kwargs, run.metadata, run.model_name) == (kwargs, {"who": "ada", **NAMES}, "m")
    assert (run.on_disconnect, run.multitask_strategy) == (DisconnectMode.CONTINUE, MultitaskStrategy.ENQUEUE)
    assert (run.thread_id, run.owner_id, run.assistant) == (thread.pk, thread.owner_id, "echo")
    assert history(run) == [(None, "pending")]


def test_what_is_not_said_has_defaults() -> None:
    run = stored(make_run(make_thread(), multitask_strategy=None))
    assert (run.kwargs, run.metadata, run.model_name, run.not_before) == ({}, NAMES, None, None)
    assert (run.multitask_strategy, run.on_disconnect) == (MultitaskStrategy.REJECT, DisconnectMode.CANCEL)
    assert (run.max_attempts, run.timeout_seconds) == (3, 3600.0)


def test_langgraphs_defaults_are_one_setting_away(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "COMPAT": "langgraph"}
    run = stored(make_run(make_thread(), multitask_strategy=None))
    assert (run.multitask_strategy, run.on_disconnect) == (MultitaskStrategy.ENQUEUE, DisconnectMode.CONTINUE)


def test_the_caller_may_change_its_dict_afterwards() -> None:
    kwargs: dict[str, Any] = {"input": {"page": 1}}
    run = make_run(make_thread(), kwargs=kwargs)
    kwargs["input"]["page"] = 2
    assert stored(run).kwargs == {"input": {"page": 1}}


def test_a_run_is_created_and_updated_at_the_same_moment_after_the_lock() -> None:
    run = stored(make_run(make_thread()))
    assert run.created_at == run.updated_at
    assert run.created_at.tzinfo is not None
    assert run.created_at <= timezone.now()


def test_later_runs_have_later_ids_and_sequences() -> None:
    thread = make_thread()
    first, second = make_run(thread), make_run(thread)
    assert (first.pk, first.sequence) < (second.pk, second.sequence)


def test_the_shortest_time_limit_counts(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_RUN_SECONDS": 100.0}
    thread = make_thread()
    assert make_run(thread).timeout_seconds == 100
    assert make_run(thread, timeout_seconds=5).timeout_seconds == 5
    assert make_run(thread, timeout_seconds=1000).timeout_seconds == 100
    assert make_run(thread, assistant="hasty").timeout_seconds == 7
    with pytest.raises(InvalidRequest, match="timeout_seconds"):
        make_run(thread, timeout_seconds=0)


def test_reject_refuses_a_thread_with_a_run_in_flight_and_changes_nothing() -> None:
    thread = make_thread()
    waiting = make_run(thread)
    before = stored(waiting).updated_at
    with pytest.raises(ThreadBusy):
        make_run(thread, "reject")
    assert [run.pk for run in thread.runs.all()] == [waiting.pk]
    assert stored(waiting).updated_at == before


def test_reject_counts_runs_that_run_wait_or_are_scheduled() -> None:
    for after_seconds in (None, 3600):
        thread = make_thread()
        make_run(thread, after_seconds=after_seconds)
        with pytest.raises(ThreadBusy):
            make_run(thread, "reject")
    thread = make_thread()
    running(thread)
    with pytest.raises(ThreadBusy):
        make_run(thread, "reject")


def test_reject_admits_beside_a_stopping_run_and_the_new_run_waits() -> None:
    thread = make_thread()
    stopping = running(thread)
    cancel(stopping)
    admitted = make_run(thread, "reject")
    assert (stored(stopping).is_stopping, stored(admitted).dispatched_at) == (True, None)
    leave(stopping)
    assert stored(admitted).dispatched_at is not None


@pytest.mark.parametrize("strategy", MultitaskStrategy)
def test_on_an_idle_thread_every_strategy_is_a_plain_create(strategy: MultitaskStrategy) -> None:
    thread = make_thread()
    finish(running(thread), page=0)
    created = create(thread, strategy)
    assert (list(created.displaced), stored(created.run).status) == ([], RunStatus.PENDING)
    assert claim(created.run).status == RunStatus.RUNNING


@pytest.mark.parametrize("strategy", [MultitaskStrategy.INTERRUPT, MultitaskStrategy.ROLLBACK])
def test_displacing_ends_every_run_in_flight_and_names_the_displacer(strategy: MultitaskStrategy) -> None:
    thread = make_thread()
    begun, waiting, scheduled = running(thread), make_run(thread), make_run(thread, after_seconds=3600)
    created = create(thread, strategy)
    assert [run.pk for run in created.displaced] == [begun.pk, waiting.pk, scheduled.pk]
    for run in map(stored, created.displaced):
        assert (run.status, run.cancel_action, run.displaced_by_id) == ("interrupted", strategy, created.run.pk)
        assert (run.cancelled_by, run.error) == ("user:ada", None)
        assert run.reason == f"displaced by run {created.run.pk} ({strategy})"
    assert [stored(run).leased for run in created.displaced] == [True, False, False]
    assert stored(created.run).status == RunStatus.PENDING


def test_interrupt_keeps_the_steps_and_rollback_returns_to_the_base() -> None:
    heads = {}
    for strategy in ("interrupt", "rollback"):
        thread = make_thread()
        finish(running(thread), page=0)
        begun = running(thread)
        step(begun, page=1)
        make_run(thread, strategy)
        thread.refresh_from_db()
        assert thread.head is not None
        heads[strategy] = thread.head.values
        assert (stored(begun).rolled_back_at is None) == (strategy == "interrupt")
    assert heads == {"interrupt": {"page": 1}, "rollback": {"page": 0}}


def test_only_the_run_that_had_begun_is_rolled_back() -> None:
    thread = make_thread()
    begun, waiting = running(thread), make_run(thread)
    make_run(thread, "rollback")
    assert stored(begun).rolled_back_at is not None
    assert (stored(waiting).cancel_action, stored(waiting).rolled_back_at) == ("rollback", None)


def test_displacing_leaves_stopping_runs_as_they_are() -> None:
    thread = make_thread()
    stopping = running(thread)
    first = create(thread, "interrupt").run
    second = create(thread, "rollback")
    assert [run.pk for run in second.displaced] == [first.pk]
    assert (stored(stopping).cancel_action, stored(stopping).displaced_by_id) == ("interrupt", first.pk)


def test_no_other_thread_is_touched() -> None:
    actor = make_actor()
    one, other = make_thread(actor), make_thread(actor)
    elsewhere = running(other)
    running(one)
    make_run(one, "rollback")
    assert stored(elsewhere).status == RunStatus.RUNNING
    with pytest.raises(ThreadBusy):
        make_run(other, "reject")
    assert make_run(make_thread(actor), "reject").status == RunStatus.PENDING


def test_runs_wait_in_the_order_of_acceptance_and_know_their_place() -> None:
    thread = make_thread()
    begun = running(thread)
    second, third = make_run(thread), make_run(thread)
    assert [queue_position(stored(run)) for run in (begun, second, third)] == [None, 1, 2]
    assert queue_positions(thread.pk) == {second.pk: 1, third.pk: 2}
    finish(begun)
    assert [queue_position(stored(run)) for run in (begun, second, third)] == [None, 0, 1]
    assert queue_positions(thread.pk) == {second.pk: 0, third.pk: 1}


def test_a_stopping_run_is_none_of_those_that_go_before() -> None:
    thread = make_thread()
    stopping, waiting = running(thread), make_run(thread)
    cancel(stopping)
    assert (stored(stopping).is_stopping, queue_positions(thread.pk)) == (True, {waiting.pk: 0})


def test_a_new_run_is_told_the_place_it_has() -> None:
    """From under the lock: as it would be asked for afterwards, whatever is scheduled, stopping or displaced."""
    stopping = running(thread := make_thread())
    cancel(stopping)
    for delay in (None, 7200, None, 3600, 9000, None):
        created = create(thread, after_seconds=delay)
        assert created.place == queue_position(created.run), delay
    displacing = create(thread, "interrupt")
    assert (displacing.place, queue_position(displacing.run)) == (0, 0)


def test_a_scheduled_run_holds_nobody_back() -> None:
    thread = make_thread()
    late, soon = (make_run(thread, after_seconds=seconds) for seconds in (7200, 3600))
    first, second = make_run(thread), make_run(thread)
    places = {first.pk: 0, second.pk: 1, soon.pk: 2, late.pk: 3}
    assert queue_positions(thread.pk) == places
    assert {run.pk: queue_position(run) for run in (first, second, soon, late)} == places
    assert try_claim(second) is None
    assert try_claim(first) is not None


@pytest.mark.parametrize(
    "asked",
    [
        {"timeout_seconds": math.nan},
        {"timeout_seconds": math.inf},
        {"timeout_seconds": 0},
        {"timeout_seconds": -1},
        {"after_seconds": math.nan},
        {"after_seconds": math.inf},
        {"after_seconds": -1},
        {"after_seconds": 1e300},
        {"max_attempts": 0},
        {"max_attempts": -1},
        {"max_attempts": 2**31},
        {"model_name": "m" * 129},
        {"model_name": "\x00"},
        {"on_disconnect": "explode"},
    ],
    ids=str,
)
def test_what_cannot_be_stored_or_kept_is_refused_and_nothing_is_written(asked: dict[str, Any]) -> None:
    thread = make_thread()
    with pytest.raises(InvalidRequest):
        make_run(thread, **asked)
    assert not thread.runs.exists()


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_an_assistant_without_a_time_to_execute_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout_seconds"):
        assistant(timeout_seconds=seconds)


def test_a_thread_that_cannot_be_stored_is_not_one_that_exists() -> None:
    with pytest.raises(IntegrityError):
        create_thread(actor=Actor("nobody"), thread_id=new_id())


def test_the_queue_of_a_thread_is_bounded(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_QUEUED_RUNS": 2}
    thread = make_thread()
    running(thread)
    make_run(thread)
    make_run(thread)
    with pytest.raises(QueueFull):
        make_run(thread)
    assert thread.runs.count() == 3


def test_an_unknown_strategy_is_named_with_those_there_are() -> None:
    thread = make_thread()
    begun = running(thread)
    with pytest.raises(UnsupportedStrategyError) as refused:
        make_run(thread, "replace")
    assert refused.value.message == (
        "Multitask strategy 'replace' is not supported. Supported: reject, interrupt, rollback, enqueue."
    )
    assert stored(begun).status == RunStatus.RUNNING


def test_an_unknown_assistant_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownAssistant, match=r"'nobody'.*echo, hasty, resumable"):
        make_run(make_thread(), assistant="nobody")
    assert not Run.objects.exists()


def test_json_that_cannot_be_stored_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidJSON, match=r"kwargs\.input\.text"):
        make_run(make_thread(), kwargs={"input": {"text": "a\x00"}})
    with pytest.raises(InvalidJSON, match=r"metadata\.n"):
        make_run(make_thread(), metadata={"n": float("nan")})
    assert not Run.objects.exists()


def test_an_unknown_thread_is_made_only_if_the_caller_says_so() -> None:
    absent = Thread(owner=make_actor().owner)
    with pytest.raises(ThreadNotFound):
        make_run(absent)
    run = make_run(absent, create_thread=True)
    assert Thread.objects.get(pk=run.thread_id).owner == absent.owner


def test_a_strangers_thread_looks_like_a_missing_one() -> None:
    thread = make_thread(make_actor("ada"))
    for make_it in (False, True):
        with pytest.raises(ThreadNotFound):
            create(thread, actor=make_actor("eve"), create_thread=make_it)
    assert not Run.objects.exists()


def test_the_thread_is_busy_at_once_and_names_its_latest_graph() -> None:
    thread = make_thread()
    make_run(thread, kwargs={"config": {"tags": ["a"], "configurable": {"secret": "no"}}})
    thread.refresh_from_db()
    assert thread.status == ThreadStatus.BUSY
    assert thread.metadata["graph_id"] == "echo"
    assert thread.config == {"tags": ["a"]}


def test_only_a_run_that_could_start_now_is_published(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    first = make_run(thread)
    make_run(thread)
    later = make_run(make_thread(), after_seconds=3600)
    assert outbox.published == [first.pk]
    assert stored(later).dispatched_at is None


def test_a_due_run_overtakes_a_scheduled_one(outbox: Outbox, commits: None) -> None:
    thread = make_thread()
    make_run(thread, after_seconds=3600)
    due = make_run(thread)
    assert outbox.published == [due.pk]


def test_a_fork_starts_from_its_checkpoint_and_a_rollback_returns_before_it() -> None:
    thread = make_thread()
    first = finish(running(thread), page=1).thread.head
    assert first is not None
    head = finish(running(thread), chapter=2).thread.head
    assert head is not None
    fork = running(thread, kwargs={"checkpoint_id": str(first.pk)})
    forked = step(fork, page=3)
    assert (fork.base_id, forked.parent_id, forked.values) == (head.pk, first.pk, {"page": 3})
    make_run(thread, "rollback")
    thread.refresh_from_db()
    assert thread.head_id == head.pk


def test_a_checkpoint_that_was_rolled_back_cannot_be_forked() -> None:
    thread = make_thread()
    begun = running(thread)
    gone = step(begun, page=1)
    waiting = make_run(thread, kwargs={"checkpoint_id": str(gone.pk)})
    assert waiting.kwargs["checkpoint_id"] == str(gone.pk)
    make_run(thread, "rollback")
    leave(begun)
    with pytest.raises(CheckpointNotFound):
        make_run(thread, kwargs={"checkpoint_id": str(gone.pk)})


def test_a_checkpoint_of_another_thread_cannot_be_forked() -> None:
    elsewhere = finish(running(make_thread()), page=1).thread.head
    assert elsewhere is not None
    with pytest.raises(CheckpointNotFound):
        make_run(make_thread(), kwargs={"checkpoint_id": str(elsewhere.pk)})


def test_a_fork_that_is_rolled_back_while_it_waits_cannot_be_written_on() -> None:
    thread = make_thread()
    begun = running(thread)
    gone = step(begun, page=1)
    fork = make_run(thread, kwargs={"checkpoint_id": str(gone.pk)})
    cancel(begun, CancelAction.ROLLBACK)
    leave(begun)
    with pytest.raises(CheckpointNotFound):
        step(claim(fork), page=2)


@pytest.mark.parametrize(
    "nonsense",
    [{"status": None}, {"status": "paused"}, {"on_disconnect": None}, {"multitask_strategy": "hope"}, {"leased": True}],
)
def test_the_database_refuses_rows_that_no_service_writes(nonsense: dict[str, Any]) -> None:
    run = make_run(make_thread())
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(**nonsense)
    assert get_run(run_id=run.pk, owner=None).status == RunStatus.PENDING
