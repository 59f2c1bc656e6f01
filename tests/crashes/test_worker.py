"""Whole workers killed, cut off, and asked to go, in the middle of runs. No run is lost, none is done twice."""

import signal
from collections.abc import Iterator

import pytest

from runs.models import Worker
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_for_silence, wait_until
from tests.support.stack import Stack
from tests.support.stage import empty_queue, head_values, history, started, wait_for_status
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(180)]

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Two workers with one child each, and much time to go."""
    empty_queue()
    with Stack(workers=2, concurrency=1, faults=(), runs={"SOFT_SHUTDOWN_SECONDS": 30.0}) as stack:
        yield stack


@pytest.fixture(autouse=True)
def mended(stack: Stack) -> None:
    """Both are there."""
    stack.mend()


def test_killed_worker(stack: Stack) -> None:
    """The scheduler buries it when its lease has run out, and another worker executes its run."""
    run, child = started("neighbour")
    doomed = stack.holder(run)
    doomed.kill()
    assert not is_alive(child)
    wait_for_entry(run.pk, "start", attempt=2)
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, ANSWER)
    assert ("pending", "system/scheduler", "crash") in history(run)
    assert lives(doomed) == [False]


def test_cut_off_worker(stack: Stack) -> None:
    """Its main process stands still, its child does not: that pauses, is replaced, and leaves when it can be told."""
    run, child = started("emitter")
    cut_off = stack.holder(run)
    cut_off.send(signal.SIGSTOP)
    wait_for_silence(run.pk)
    second = wait_for_entry(run.pk, "start", attempt=2)
    cut_off.send(signal.SIGCONT)
    assert wait_for_entry(run.pk, "left", attempt=1).pid == child
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    wait_until(lambda: lives(cut_off) == [False, True], "the worker to begin a new life", PATIENCE_SECONDS)
    assert is_alive(child)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, ANSWER)
    beats = [entry for entry in entries(run.pk, "beat") if entry.attempt == 1]
    assert beats[-1].time < second.time


def lives(worker: WorkerProcess) -> list[bool]:
    """Whether each life of the worker's process is still going on, in order."""
    rows = Worker.objects.filter(host__endswith=f":{worker.pid}").order_by("started_at")
    return [row.buried_at is None for row in rows]


def test_sigterm_lets_a_run_finish(stack: Stack) -> None:
    """Within the time that is set for it."""
    run, _ = started("neighbour")
    leaving = stack.holder(run)
    leaving.send(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in leaving.log, "the shutdown to begin")
    open_gate(run.pk)
    assert leaving.wait() == 0
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.SUCCESS, 1)
    assert lives(leaving) == [False]
