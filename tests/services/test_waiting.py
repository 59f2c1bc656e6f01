"""Why a thread is blocked: each obstacle, made to happen."""

from runs.models import Run
from runs.services.waiting import Obstacle, thread_queue
from tests.support.factories import (
    cancel,
    claim,
    drain,
    expire,
    finish,
    leave,
    make_run,
    make_thread,
    make_worker,
    running,
    stored,
)


def test_a_thread_without_runs_in_flight_waits_for_nothing() -> None:
    thread = make_thread()
    finish(running(thread))
    found = thread_queue(thread.pk)
    assert (found.obstacle, found.since, found.blocking, list(found.behind)) == (Obstacle.NOTHING, None, None, [])


def test_a_running_run_blocks_since_its_attempt_began_and_the_others_wait_in_order() -> None:
    thread = make_thread()
    first = running(thread)
    later = make_run(thread, after_seconds=3600)
    second, third = make_run(thread), make_run(thread)

    found = thread_queue(thread.pk)
    assert (found.obstacle, found.blocking, list(found.behind)) == (Obstacle.RUNNING, first, [second, third, later])
    assert found.since == stored(first).started_at
    assert not found.is_lost


def test_a_second_attempt_blocks_since_it_was_claimed() -> None:
    thread = make_thread()
    run = running(thread)
    leave(run)
    again = claim(stored(run))
    found = thread_queue(thread.pk)
    assert found.blocking == again
    assert found.since is not None
    assert found.since > (again.started_at or found.since)


def test_a_run_whose_worker_has_not_renewed_is_lost() -> None:
    thread, worker = make_thread(), make_worker()
    running(thread, worker)
    expire(worker)
    assert thread_queue(thread.pk).is_lost


def test_a_stopping_run_blocks_since_it_was_cancelled() -> None:
    thread = make_thread()
    run = running(thread)
    second = make_run(thread)
    cancel(run)
    found = thread_queue(thread.pk)
    assert (found.obstacle, found.blocking, list(found.behind)) == (Obstacle.STOPPING, run, [second])
    assert found.since == stored(run).cancelled_at

    leave(stored(run))
    assert thread_queue(thread.pk).blocking == second


def test_a_dispatched_run_waits_for_a_worker_if_there_is_one() -> None:
    thread = make_thread()
    run = make_run(thread)
    assert thread_queue(thread.pk).obstacle == Obstacle.NO_WORKER
    worker = make_worker()
    found = thread_queue(thread.pk)
    assert (found.obstacle, found.blocking, found.since) == (Obstacle.WORKER, run, stored(run).dispatched_at)
    expire(worker)
    assert thread_queue(thread.pk).obstacle == Obstacle.NO_WORKER


def test_a_dispatched_run_waits_while_all_workers_are_drained() -> None:
    thread = make_thread()
    make_run(thread)
    drain(make_worker())
    assert thread_queue(thread.pk).obstacle == Obstacle.DRAINING
    make_worker()
    assert thread_queue(thread.pk).obstacle == Obstacle.WORKER


def test_a_run_that_was_not_dispatched_says_so() -> None:
    thread = make_thread()
    run = make_run(thread)
    Run.objects.filter(pk=run.pk).update(dispatched_at=None)
    found = thread_queue(thread.pk)
    assert (found.obstacle, found.since) == (Obstacle.DISPATCH, run.created_at)


def test_scheduled_runs_alone_wait_for_their_time() -> None:
    thread = make_thread()
    late, early = make_run(thread, after_seconds=7200), make_run(thread, after_seconds=3600)
    found = thread_queue(thread.pk)
    assert (found.obstacle, found.blocking, list(found.behind)) == (Obstacle.TIME, early, [late])
