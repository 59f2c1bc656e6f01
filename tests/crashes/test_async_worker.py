"""A loop process that dies takes many runs with it. None is lost, and only a crash that is proven is counted."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from runs.models import Run, Worker
from runs.scheduler import Scheduler
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.factories import make_run, make_thread, worker_of
from tests.support.ledger import entries, events, open_gate, wait_for_entry, wait_until
from tests.support.stage import (
    empty_queue,
    error_of,
    head_values,
    history,
    started,
    wait_for_status,
    wait_until_settled,
)
from tests.support.worker import WorkerProcess

ONE_PROCESS = {"LOOP_PROCESSES": 1}
#: No renewal comes in time to recover anything: whatever is recovered at once was observed.
SELDOM = {"RENEW_SECONDS": 60.0, "LEASE_SECONDS": 600.0}
SOON = {"RENEW_SECONDS": 0.2, "LEASE_SECONDS": 1.0}
SHUTDOWN = {"SOFT_SHUTDOWN_SECONDS": 0.5, "GRACE_SECONDS": 0.5, "INTERRUPT_EVERY_SECONDS": 0.1}

pytestmark = pytest.mark.usefixtures("db", "intact", "swept", "own_queue")


@pytest.fixture
def own_queue(db: None) -> None:
    """Nothing is left of what the killed workers of another test had taken."""
    empty_queue()


def async_worker(**runs: Any) -> WorkerProcess:
    """One process, in which eight runs are executed at a time."""
    return WorkerProcess(pool="async", concurrency=8, runs=ONE_PROCESS | runs)


@pytest.fixture
def worker(own_queue: None) -> Iterator[WorkerProcess]:
    """No renewal comes in time to recover anything."""
    with async_worker(**SELDOM, **SHUTDOWN) as worker:
        yield worker


def is_retired(run: Run) -> bool:
    """Whether the worker that holds, or held, the run has ended its life."""
    return Worker.objects.get(pk=worker_of(run)).buried_at is not None


def is_replaced(life: Worker, scheduler: Scheduler) -> bool:
    """Sweep once; whether this worker is buried, and what it held has been taken from it."""
    scheduler.sweep()
    life.refresh_from_db()
    return life.buried_at is not None and not life.runs.filter(leased=True).exists()


def neighbours(count: int = 3) -> tuple[list[Run], int]:
    """Runs that have started in one process, and that process."""
    runs, pids = zip(*(started("neighbour") for _ in range(count)), strict=True)
    assert len(set(pids)) == 1
    return list(runs), pids[0]


def finish(runs: list[Run]) -> list[tuple[int, int, Any]]:
    """Let them end: attempt, crashes and state of each."""
    for run in runs:
        open_gate(run.pk)
    ended = [wait_for_status(run.pk, RunStatus.SUCCESS) for run in runs]
    return [(run.attempt, run.crashes, head_values(run)) for run in ended]


def test_crash_among_neighbours_is_nobodys(worker: WorkerProcess) -> None:
    """All are handed back at once, uncounted, and are executed alone: whoever did it would be the only one now."""
    beside, process = neighbours()
    run = make_run(make_thread(), assistant="killed_once")
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 0, ANSWER)
    assert finish(beside) == [(2, 0, ANSWER)] * 3
    assert not is_alive(process)
    for one in (run, *beside):
        assert ("pending", "system/worker", "neighbour") in history(one)
    second = [entries(one.pk, "start")[1].pid for one in (run, *beside)]
    assert len(set(second)) == len(second)
    after, _ = neighbours()
    assert finish(after) == [(1, 0, ANSWER)] * 3


def test_poison_among_neighbours(worker: WorkerProcess) -> None:
    """A run that kills every process is alone from its second attempt on, and given up; the others succeed."""
    beside, _ = neighbours()
    poison = make_run(make_thread(), assistant="poison")
    poison = wait_until_settled(poison.pk)
    assert (poison.status, error_of(poison)["type"]) == (RunStatus.ERROR, "attempts_exhausted")
    assert (poison.attempt, poison.crashes) == (4, 3)
    assert events(poison.pk) == ["start"] * 4
    assert finish(beside) == [(2, 0, ANSWER)] * 3
    after = make_run(poison.thread, assistant="prompt")
    assert wait_for_status(after.pk, RunStatus.SUCCESS).attempt == 1


def test_poison_alone(worker: WorkerProcess) -> None:
    """A crash of a process with one run is proven."""
    poison = wait_until_settled(make_run(make_thread(), assistant="poison").pk)
    assert (poison.attempt, poison.crashes) == (3, 3)


def test_killed_process(worker: WorkerProcess) -> None:
    """By the system: its runs are put back by the worker itself, at once."""
    beside, process = neighbours()
    os.kill(process, signal.SIGKILL)
    assert finish(beside) == [(2, 0, ANSWER)] * 3


@pytest.mark.parametrize("kind", ["neighbour", "stubborn"])
def test_terminated_process_hands_its_runs_back(worker: WorkerProcess, kind: str) -> None:
    """A polite SIGTERM to one process is no crash of its runs, even if one does not heed it and is killed."""
    beside, process = neighbours()
    run = make_run(make_thread(), assistant=kind)
    wait_for_entry(run.pk, "start")
    os.kill(process, signal.SIGTERM)
    wait_for_entry(run.pk, "start", attempt=2)
    assert finish([run, *beside])[1:] == [(2, 0, ANSWER)] * 3
    run.refresh_from_db()
    assert (run.attempt, run.crashes) == (2, 0)
    assert ("pending", "system/worker", "shutdown") in history(run)
    wait_until(lambda: not is_alive(process), "the process to end")


def test_littering_run_ends_its_process(worker: WorkerProcess) -> None:
    """A thread that does not end can only be ended with its process; the others are handed back, uncounted."""
    beside, process = neighbours()
    run = make_run(make_thread(), assistant="littering", kwargs={"input": {"gate": "litter"}})
    wait_for_entry(run.pk, "start")
    open_gate("litter")
    run = wait_until_settled(run.pk)
    assert (run.status, run.attempt, head_values(run)) == (RunStatus.SUCCESS, 1, ANSWER)
    assert not is_alive(process)
    assert finish(beside) == [(2, 0, ANSWER)] * 3


def test_killed_worker(own_queue: None, settings: Settings) -> None:
    """Its processes go with it; the scheduler buries it, and another worker executes its runs."""
    settings.RUNS = {**settings.RUNS, **SOON}
    scheduler = Scheduler()
    with async_worker(**SOON) as doomed:
        beside, process = neighbours()
        life = Worker.objects.get(runs=beside[0].pk)
        doomed.kill()
    assert not is_alive(process)
    with async_worker(**SOON):
        wait_until(lambda: is_replaced(life, scheduler), "the worker to be buried")
        assert finish(beside) == [(2, 1, ANSWER)] * 3


def test_sigterm_lets_runs_finish(own_queue: None) -> None:
    """Within the time that is set for it."""
    with async_worker(SOFT_SHUTDOWN_SECONDS=30.0) as worker:
        beside, process = neighbours()
        worker.send(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in worker.log, "the shutdown to begin")
        assert finish(beside) == [(1, 0, ANSWER)] * 3
        assert worker.wait() == 0
    assert not is_alive(process)
    beside[0].refresh_from_db()
    assert is_retired(beside[0])


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("kind", ["neighbour", "stubborn"])
def test_shutdown_hands_runs_over(own_queue: None, signum: signal.Signals, kind: str) -> None:
    """What has not finished when the time is up is put back, not counted as a crash, and done by another worker."""
    with async_worker(**SHUTDOWN) as leaving:
        beside, process = neighbours(2)
        run = make_run(make_thread(), assistant=kind)
        wait_for_entry(run.pk, "start")
        with async_worker(**SHUTDOWN):
            leaving.send(signum)
            leaving.wait()
            assert not is_alive(process)
            wait_for_entry(run.pk, "start", attempt=2)
            assert finish([run, *beside])[1:] == [(2, 0, ANSWER)] * 2
    run.refresh_from_db()
    assert (run.attempt, run.crashes) == (2, 0)
    assert ("pending", "system/worker", "shutdown") in history(run)
