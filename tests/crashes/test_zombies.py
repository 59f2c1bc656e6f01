"""Executors that come back after they were given up, and outages in which nobody may be given up."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from runs.models import Checkpoint, Run, Worker
from runs.states import RunStatus
from runs.streaming import log
from runs.streaming.connection import writer
from tests.support import crash_points
from tests.support.engines import SessionEngines
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.outages import family, postgres_away, standing_still, still_postgres, stop_postgres, wait_out
from tests.support.scale import rounds
from tests.support.scheduling import SchedulerProcess
from tests.support.stack import SHORT, Stack
from tests.support.stage import empty_queue, head_values, wait_for_status
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(1800)]

LEASE: float = SHORT["LEASE_SECONDS"]
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Two workers."""
    empty_queue()
    with Stack(workers=2) as stack:
        yield stack


def main_process(worker: WorkerProcess) -> list[int]:
    """Its children go on."""
    return [worker.pid]


def whole_worker(worker: WorkerProcess) -> list[int]:
    """Nothing of it goes on."""
    return family(worker.pid)


def steps(run: Run, attempt: int) -> int:
    """What was accepted of the attempt."""
    return Checkpoint.objects.filter(run=run, attempt=attempt).count()


def frames(run: Run) -> list[int]:
    """The attempt of every frame in the run's stream, in order."""
    found: Any = writer().xrange(log.key(run.pk))
    return [int(entry_id.partition("-")[0]) for entry_id, _ in found]


@pytest.mark.parametrize("stopped", [whole_worker, main_process])
def test_zombie(stopped: Callable[[WorkerProcess], list[int]], stack: Stack) -> None:
    """Nothing that it writes is accepted, it stops by itself, and another has finished its run."""
    for _ in range(rounds(20)):
        run = make_run(make_thread(), assistant="busybody")
        wait_for_entry(run.pk, "beat")
        run = wait_for_status(run.pk, RunStatus.RUNNING)
        come_back(run, stopped(stack.holder(run)))
        wait_until(lambda: all(one.is_ready() for one in stack.workers), "the zombie to live again", PATIENCE_SECONDS)


@pytest.mark.parametrize("place", ["inside the claim", "inside a step", "inside the finish"])
def test_zombie_that_holds_locks(place: str, stack: Stack) -> None:
    """A worker that is stopped in the middle of a transaction keeps nobody from its run: it loses the transaction."""
    for _ in range(rounds(10)):
        wait_for_stop = crash_points.arm(place, crash_points.STOPPED)
        run = make_run(make_thread(), assistant="payer")
        try:
            child = wait_for_stop()
            run = wait_for_status(run.pk, RunStatus.SUCCESS, PATIENCE_SECONDS)
        finally:
            stopped = [*entries(crash_points.LEDGER, place)][-1]
            for pid in (int(stopped.what["parent"]), stopped.pid):
                os.kill(pid, signal.SIGCONT)
        assert child == stopped.pid
        wait_until(lambda: all(one.is_ready() for one in stack.workers), "the zombie to live again", PATIENCE_SECONDS)
        ended = Run.objects.get(pk=run.pk)
        assert (ended.status, ended.attempt, ended.finished_at) == (RunStatus.SUCCESS, run.attempt, run.finished_at)


def come_back(run: Run, pids: list[int]) -> None:
    """These processes stop for three leases, then go on; the run is another's by then, and stays it."""
    with standing_still(*pids):
        second = wait_for_second_attempt(run)
        before = [entry for entry in entries(run.pk, "beat") if entry.attempt == 1][-1]
        accepted = steps(run, 1)
        wait_out(2 * LEASE)
    wait_for_entry(run.pk, "left", attempt=1)
    wait_until(lambda: steps(run, 2) > 1, "steps of the second attempt", PATIENCE_SECONDS)
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS, PATIENCE_SECONDS)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, {"attempt": 2})
    assert steps(run, 1) == accepted
    assert before.at < second
    assert frames(run) == sorted(frames(run))


def wait_for_second_attempt(run: Run) -> float:
    """When another worker began it."""

    def begun() -> float | None:
        return next((entry.at for entry in entries(run.pk, "start") if entry.attempt == 2), None)

    return wait_until(begun, "the second attempt", PATIENCE_SECONDS)


@pytest.mark.parametrize("outage", [stop_postgres, still_postgres])
def test_an_outage_of_the_database_restarts_nobody(
    outage: Callable[[SessionEngines], None], stack: Stack, engines: SessionEngines
) -> None:
    runs = start_busybodies(stack)
    outage(engines)
    wait_until(partial(all_go_on, runs, time.time()), "the runs to go on", PATIENCE_SECONDS)
    assert end_all(runs) == [(1, 0)] * len(runs)


def start_busybodies(stack: Stack) -> list[Run]:
    """As many runs as there are places, all of them at work."""
    runs = [make_run(make_thread(), assistant="busybody", max_attempts=100) for _ in range(2 * len(stack.workers))]
    for run in runs:
        wait_for_entry(run.pk, "beat")
    return runs


def all_go_on(runs: list[Run], since: float) -> bool:
    """Whether each has taken a step since then."""
    return all(goes_on(run, since) for run in runs)


def goes_on(run: Run, since: float) -> bool:
    """Whether the run, in whatever attempt, has taken a step since then."""
    latest = Checkpoint.objects.filter(run=run).order_by("-created_at").first()
    return latest is not None and latest.created_at.timestamp() > since


def test_workers_that_are_late_after_an_outage_are_not_buried(stack: Stack, engines: SessionEngines) -> None:
    """The scheduler is there first, and waits for them."""
    runs = start_busybodies(stack)
    be_late(stack, engines, lambda: wait_out(LEASE / 3))
    wait_until(partial(all_go_on, runs, time.time()), "the runs to go on", PATIENCE_SECONDS)
    assert end_all(runs) == [(1, 0)] * len(runs)


def test_a_scheduler_that_buries_at_once_restarts_them_all(stack: Stack, engines: SessionEngines) -> None:
    """The control: the same outage, and the same workers that come late."""
    living = Worker.objects.filter(buried_at=None)
    with SchedulerProcess(name="hasty", runs=stack.runs, RUNYARD_TEST_HASTE="1"):
        runs = start_busybodies(stack)
        be_late(stack, engines, lambda: wait_until(lambda: not living.exists(), "all to be buried", PATIENCE_SECONDS))
        for run in runs:
            wait_for_entry(run.pk, "start", attempt=2)
        assert [attempt > 1 and crashes > 0 for attempt, crashes in end_all(runs)] == [True] * len(runs)
    wait_until(lambda: all(one.is_ready() for one in stack.workers), "the workers to live again", PATIENCE_SECONDS)


def be_late(stack: Stack, engines: SessionEngines, wait: Callable[[], object]) -> None:
    """PostgreSQL goes for two leases; when it is back every worker's main process stands still for as long as that."""
    with ExitStack() as late:
        with postgres_away(engines):
            wait_out(2 * LEASE)
            late.enter_context(standing_still(*(worker.pid for worker in stack.workers)))
        wait()


def end_all(runs: list[Run]) -> list[tuple[int, int]]:
    """Attempts and crashes of each, after all have succeeded."""
    for run in runs:
        open_gate(run.pk)
    ended = [wait_for_status(run.pk, RunStatus.SUCCESS, PATIENCE_SECONDS) for run in runs]
    return [(run.attempt, run.crashes) for run in ended]
