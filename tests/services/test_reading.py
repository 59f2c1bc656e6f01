"""Reading runs: by owner, newest first, bounded, and never a made-up answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from runs.assistants.registry import assistant_id
from runs.errors import InvalidRequest, RunNotFound, ThreadNotFound
from runs.models import Run, Thread
from runs.services.results import find_result
from runs.services.runs import get_run, has_inflight, list_runs, queue_position
from runs.services.threads import delete_run
from runs.states import Departure, RunStatus
from tests.support.factories import (
    cancel,
    claim,
    finish,
    leave,
    make_actor,
    make_run,
    make_thread,
    running,
    step,
    stored,
)

pytestmark = pytest.mark.usefixtures("intact")


def ids(runs: Any) -> list[Any]:
    """Their primary keys, in order."""
    return [run.pk for run in runs]


def test_a_run_is_found_by_its_id_with_or_without_its_thread() -> None:
    run = make_run(make_thread())
    assert get_run(run_id=run.pk, owner=run.owner) == run
    assert get_run(run_id=run.pk, owner=run.owner, thread_id=run.thread_id) == run


def test_an_unknown_run_is_not_found() -> None:
    with pytest.raises(RunNotFound):
        get_run(run_id=Run().pk, owner=make_actor().owner)


def test_a_run_is_not_found_on_another_thread() -> None:
    actor = make_actor()
    run = make_run(make_thread(actor))
    with pytest.raises(RunNotFound):
        get_run(run_id=run.pk, owner=actor.owner, thread_id=make_thread(actor).pk)


def test_a_strangers_run_is_neither_found_nor_listed() -> None:
    thread = make_thread(make_actor("ada"))
    run = make_run(thread)
    eve = make_actor("eve").owner
    with pytest.raises(RunNotFound):
        get_run(run_id=run.pk, owner=eve)
    with pytest.raises(ThreadNotFound):
        list_runs(thread_id=thread.pk, owner=eve)
    assert not has_inflight(thread_id=thread.pk, owner=eve)


def test_an_operator_reads_everyones_runs() -> None:
    run = make_run(make_thread(make_actor("ada")))
    assert get_run(run_id=run.pk, owner=None) == run
    assert ids(list_runs(thread_id=run.thread_id, owner=None)) == [run.pk]


def test_a_list_has_the_runs_of_the_thread_newest_first() -> None:
    actor = make_actor()
    one, other = make_thread(actor), make_thread(actor)
    first, elsewhere, second = make_run(one), make_run(other), make_run(one)
    assert ids(list_runs(thread_id=one.pk, owner=actor.owner)) == [second.pk, first.pk]
    assert ids(list_runs(thread_id=other.pk, owner=actor.owner)) == [elsewhere.pk]


def test_among_runs_of_the_same_moment_the_one_accepted_last_comes_first() -> None:
    thread = make_thread()
    first, second, third = (make_run(thread) for _ in range(3))
    Run.objects.update(created_at=first.created_at)
    assert ids(list_runs(thread_id=thread.pk, owner=None)) == [third.pk, second.pk, first.pk]


def test_a_list_is_paged() -> None:
    thread = make_thread()
    newest_first = [make_run(thread) for _ in range(4)][::-1]
    assert ids(list_runs(thread_id=thread.pk, owner=None, limit=1)) == ids(newest_first[:1])
    pages = [list_runs(thread_id=thread.pk, owner=None, limit=3, offset=offset) for offset in (0, 3, 4)]
    assert [ids(page) for page in pages] == [ids(newest_first[:3]), ids(newest_first[3:]), []]


def test_limit_zero_is_empty_and_negative_is_refused() -> None:
    thread = make_thread()
    make_run(thread)
    assert list_runs(thread_id=thread.pk, owner=None, limit=0) == []
    for limit, offset in ((-1, 0), (1, -1)):
        with pytest.raises(InvalidRequest):
            list_runs(thread_id=thread.pk, owner=None, limit=limit, offset=offset)


def test_a_hundred_runs_are_listed_unless_told_otherwise() -> None:
    thread = make_thread()
    accepted = stored(make_run(thread))
    Run.objects.bulk_create(
        Run(
            thread=thread,
            owner=thread.owner,
            multitask_strategy=accepted.multitask_strategy,
            on_disconnect=accepted.on_disconnect,
            max_attempts=1,
            timeout_seconds=1,
            status=RunStatus.SUCCESS,
            finished_at=accepted.created_at,
        )
        for _ in range(105)
    )
    assert len(list_runs(thread_id=thread.pk, owner=None)) == 100
    Run.objects.filter(status=RunStatus.SUCCESS).delete()


def test_a_list_may_be_of_one_status() -> None:
    thread = make_thread()
    done, waiting = finish(running(thread)), make_run(thread)
    assert ids(list_runs(thread_id=thread.pk, owner=None, status=RunStatus.SUCCESS)) == [done.pk]
    assert ids(list_runs(thread_id=thread.pk, owner=None, status=RunStatus.PENDING)) == [waiting.pk]


def test_the_runs_of_an_unknown_thread_are_an_error_and_not_an_empty_list() -> None:
    with pytest.raises(ThreadNotFound):
        list_runs(thread_id=Thread().pk, owner=make_actor().owner)


def test_in_flight_means_pending_or_running_on_this_thread() -> None:
    actor = make_actor()
    thread, other = make_thread(actor), make_thread(actor)
    seen = [has_inflight(thread_id=thread.pk)]
    run = running(thread)
    seen.append(has_inflight(thread_id=thread.pk))
    finish(run)
    seen.append(has_inflight(thread_id=thread.pk))
    make_run(thread)
    seen.append(has_inflight(thread_id=thread.pk))
    assert seen == [False, True, False, True]
    assert not has_inflight(thread_id=other.pk)


def test_a_stopping_run_is_not_in_flight() -> None:
    run = running(make_thread())
    cancel(run)
    assert stored(run).is_stopping
    assert not has_inflight(thread_id=run.thread_id)
    leave(run)
    assert stored(run).is_settled


def test_a_deleted_run_is_neither_found_nor_listed() -> None:
    actor = make_actor()
    thread = make_thread(actor)
    run = finish(running(thread))
    delete_run(thread_id=thread.pk, run_id=run.pk, actor=actor)
    with pytest.raises(RunNotFound):
        get_run(run_id=run.pk, owner=actor.owner)
    assert list_runs(thread_id=thread.pk, owner=actor.owner) == []


def test_steps_of_an_attempt_that_was_given_up_are_no_result() -> None:
    """The second attempt has begun anew, and was cancelled before its first step: the run answers what it found."""
    thread = make_thread()
    finish(running(thread), page=0)
    run = running(thread)
    step(run, page=1)
    leave(run, Departure.CRASH)
    cancel(claim(run))
    assert find_result(run.pk) == {"page": 0}


def test_whatever_has_ended_has_no_place_in_the_queue() -> None:
    assert queue_position(finish(running(make_thread()))) is None


def test_everything_survives_the_process_that_wrote_it(commits: None) -> None:
    thread = make_thread()
    done = finish(running(thread), page=1)
    failed = finish(running(thread), RunStatus.ERROR)
    waiting = make_run(thread, metadata={"who": "ada"})
    connection.close()  # whatever a process remembers is gone
    runs = list_runs(thread_id=thread.pk, owner=None)
    assert [(run.pk, run.status) for run in runs] == [
        (waiting.pk, "pending"),
        (failed.pk, "error"),
        (done.pk, "success"),
    ]
    assert runs[0].metadata == {
        "who": "ada",
        "graph_id": "echo",
        "assistant_id": str(assistant_id("echo")),
        "created_by": "system",
    }
    assert runs[1].error == failed.error


def test_while_the_database_is_away_nobody_is_told_that_there_is_no_such_run() -> None:
    run = make_run(make_thread())
    with database_away():
        for read in (
            lambda: get_run(run_id=run.pk, owner=None),
            lambda: list_runs(thread_id=run.thread_id, owner=None),
            lambda: has_inflight(thread_id=run.thread_id),
        ):
            with pytest.raises(OperationalError):
                read()


@contextmanager
def database_away() -> Iterator[None]:
    """Every statement fails as it does without a server."""

    def fail(*statement: Any) -> Any:
        raise OperationalError("the connection is lost")

    with connection.execute_wrapper(fail):
        yield
