"""Workers and their children killed, and asked to go, in the middle of runs. No run is lost, none is done twice."""

import os
import signal
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from runs.actors import Actor
from runs.models import Run, Worker
from runs.scheduler import Scheduler
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, events, open_gate, wait_for_entry, wait_for_silence, wait_until
from tests.support.stage import empty_queue, error_of, head_values, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

#: No renewal comes in time to recover anything: whatever is recovered at once was observed.
SELDOM = {"RENEW_SECONDS": 60.0, "LEASE_SECONDS": 600.0}
SOON = {"RENEW_SECONDS": 0.2, "LEASE_SECONDS": 1.0}
SHUTDOWN = {"SOFT_SHUTDOWN_SECONDS": 0.5, "GRACE_SECONDS": 0.5, "INTERRUPT_EVERY_SECONDS": 0.1}

pytestmark = pytest.mark.usefixtures("db", "intact", "swept", "own_queue")


@pytest.fixture
def own_queue(db: None) -> None:
    """Nothing is left of what the killed workers of another test had taken."""
    empty_queue()


@pytest.fixture
def worker(own_queue: None) -> Iterator[WorkerProcess]:
    """Two children."""
    with WorkerProcess(runs=SELDOM | SHUTDOWN) as worker:
        yield worker


def started(assistant: str) -> tuple[Run, int]:
    """A run that has started, and the process that executes it."""
    run = make_run(make_thread(), assistant=assistant)
    return run, wait_for_entry(run.pk, "start").pid


def history(run: Run) -> list[tuple[str, str, str]]:
    """What became of the run, why, and who said so."""
    return [(event.to_status, event.actor, event.reason.split(":")[0]) for event in run.events.all()]


# Children


def test_killed_child(worker: WorkerProcess) -> None:
    """Its run is put back by the worker itself, at once, and succeeds in another process; the run beside it stays."""
    beside, other_child = started("neighbour")
    run = make_run(make_thread(), assistant="killed_once")
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    open_gate(beside.pk)
    beside = wait_for_status(beside.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, ANSWER)
    assert ("pending", "system/worker", "crash") in history(run)
    first, second = entries(run.pk, "start")
    assert (first.attempt, second.attempt, is_alive(first.pid)) == (1, 2, False)
    assert (beside.attempt, {entry.pid for entry in entries(beside.pk)}) == (1, {other_child})


def test_poison_run(worker: WorkerProcess) -> None:
    """A run that kills every process that executes it is given up, and the worker works on."""
    poison = make_run(make_thread(), assistant="poison")
    poison = wait_until_settled(poison.pk)
    assert (poison.status, error_of(poison)["type"]) == (RunStatus.ERROR, "attempts_exhausted")
    assert (poison.attempt, poison.crashes) == (3, 3)
    assert events(poison.pk) == ["start"] * 3
    after = make_run(poison.thread, assistant="prompt")
    assert wait_for_status(after.pk, RunStatus.SUCCESS).attempt == 1


@pytest.mark.parametrize("kind", ["neighbour", "stubborn"])
def test_terminated_child_hands_its_run_back(worker: WorkerProcess, kind: str) -> None:
    """A polite SIGTERM to one process is no crash of the run, even if the run does not heed it and is killed."""
    run, child = started(kind)
    os.kill(child, signal.SIGTERM)
    wait_for_entry(run.pk, "start", attempt=2)
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes) == (2, 0)
    assert ("pending", "system/worker", "shutdown") in history(run)
    assert not is_alive(child)


def test_crash_after_an_interruption_is_no_revoke(worker: WorkerProcess) -> None:
    """The process that was interrupted bears no mark: the next run that is killed in it is recovered as a crash."""
    victims = [started("sync_code") for _ in range(2)]
    for victim, _ in victims:
        cancel_run(run_id=victim.pk, actor=Actor("operator"))
        wait_until_settled(victim.pk)
    run = make_run(make_thread(), assistant="killed_once")
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert entries(run.pk, "start")[0].pid in {child for _, child in victims}
    assert (run.attempt, run.crashes, run.cancelled_by) == (2, 1, "")


# Whole workers


def test_killed_worker(own_queue: None, settings: Settings) -> None:
    """The scheduler buries it when its lease has run out, and another worker executes its run."""
    settings.RUNS = {**settings.RUNS, **SOON}
    scheduler = Scheduler()
    with WorkerProcess(runs=SOON) as doomed:
        run, child = started("neighbour")
        doomed.kill()
    assert not is_alive(child)
    with WorkerProcess(runs=SOON):
        wait_until(lambda: swept_clean(scheduler), "the worker to be buried")
        wait_for_entry(run.pk, "start", attempt=2)
        open_gate(run.pk)
        run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, ANSWER)
    assert ("pending", "system/scheduler", "crash") in history(run)
    assert Worker.objects.filter(host__endswith=f":{doomed.pid}", buried_at=None).count() == 0


def is_retired(run: Run) -> bool:
    """Whether the worker that holds, or held, the run has ended its life."""
    assert run.worker is not None
    run.worker.refresh_from_db()
    return run.worker.buried_at is not None


def swept_clean(scheduler: Scheduler) -> bool:
    """Sweep once; whether no worker holds a run any more."""
    scheduler.sweep()
    return not Run.objects.leased().exists()


def test_cut_off_worker(own_queue: None, settings: Settings) -> None:
    """Its main process stands still, its child does not: that pauses, is replaced, and leaves when it can be told."""
    settings.RUNS = {**settings.RUNS, **SOON}
    scheduler = Scheduler()
    with WorkerProcess(concurrency=1, runs=SOON) as cut_off:
        run, child = started("emitter")
        cut_off.send(signal.SIGSTOP)
        wait_for_silence(run.pk)
        with WorkerProcess(concurrency=1, runs=SOON):
            wait_until(lambda: swept_clean(scheduler), "the worker to be buried")
            second = wait_for_entry(run.pk, "start", attempt=2)
            cut_off.send(signal.SIGCONT)
            assert wait_for_entry(run.pk, "left", attempt=1).pid == child
            open_gate(run.pk)
            run = wait_for_status(run.pk, RunStatus.SUCCESS)
        wait_until(lambda: lives(cut_off) == [False, True], "the worker to begin a new life")
        assert is_alive(child)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, ANSWER)
    beats = [entry for entry in entries(run.pk, "beat") if entry.attempt == 1]
    assert beats[-1].time < second.time


def lives(worker: WorkerProcess) -> list[bool]:
    """Whether each life of the worker's process is still going on, in order."""
    rows = Worker.objects.filter(host__endswith=f":{worker.pid}").order_by("started_at")
    return [row.buried_at is None for row in rows]


# Shutdown


def test_sigterm_lets_a_run_finish(own_queue: None) -> None:
    """Within the time that is set for it."""
    with WorkerProcess(runs={"SOFT_SHUTDOWN_SECONDS": 30.0}) as worker:
        run, _ = started("neighbour")
        worker.send(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in worker.log, "the shutdown to begin")
        open_gate(run.pk)
        assert worker.wait() == 0
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.SUCCESS, 1)
    assert is_retired(run)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("kind", ["neighbour", "stubborn"])
def test_shutdown_hands_runs_over(own_queue: None, signum: signal.Signals, kind: str) -> None:
    """What has not finished when the time is up is put back, not counted as a crash, and done by another worker."""
    with WorkerProcess(runs=SHUTDOWN) as leaving:
        run, child = started(kind)
        run.refresh_from_db()
        with WorkerProcess(runs=SHUTDOWN):
            leaving.send(signum)
            leaving.wait()
            assert not is_alive(child)
            assert is_retired(run)
            second = wait_for_entry(run.pk, "start", attempt=2)
            open_gate(run.pk)
            run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes) == (2, 0)
    assert ("pending", "system/worker", "shutdown") in history(run)
    assert second.time > [entry for entry in entries(run.pk) if entry.attempt == 1][-1].time
