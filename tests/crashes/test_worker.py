"""Whole workers killed, cut off, and asked to go, in the middle of runs. No run is lost, none is done twice."""

import signal
from collections.abc import Iterator

import pytest

from runs.models import Worker
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.outages import standing_still
from tests.support.stack import SHORT, Stack
from tests.support.stage import empty_queue, error_of, head_values, history, started, wait_for_status
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
    wait_for_entry(run.pk, "start", attempt=2, seconds=PATIENCE_SECONDS)
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, ANSWER)
    assert ("pending", "system/scheduler", "crash") in history(run)
    assert not any(lives(doomed))


def test_cut_off_worker(stack: Stack) -> None:
    """Its main process stands still, its child does not: that pauses, is replaced, and leaves when it can be told."""
    run, child = started("emitter")
    cut_off = stack.holder(run)
    earlier = lives(cut_off)
    assert earlier[-1]
    with standing_still(cut_off.pid):
        second = wait_for_entry(run.pk, "start", attempt=2, seconds=PATIENCE_SECONDS)
    assert wait_for_entry(run.pk, "left", attempt=1).pid == child
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    wait_until(
        lambda: lives(cut_off) == [*earlier[:-1], False, True], "the worker to begin a new life", PATIENCE_SECONDS
    )
    assert is_alive(child)
    assert (run.attempt, run.crashes, head_values(run)) == (2, 1, ANSWER)
    beats = [entry for entry in entries(run.pk, "beat") if entry.attempt == 1]
    assert beats[-1].time < second.time


def test_a_run_that_kills_its_workers_is_given_up_and_the_others_go_on(stack: Stack) -> None:
    """Also the one that waits behind it, and one that another worker executes meanwhile."""
    beside, _ = started("neighbour")
    killer = make_run(make_thread(), assistant="worker_killer", max_attempts=2)
    behind = make_run(killer.thread, assistant="prompt")
    spared = stack.holder(beside).pid
    for attempt in (1, 2):
        victim = wait_for_entry(killer.pk, "start", attempt=attempt, seconds=PATIENCE_SECONDS).what["worker"]
        assert victim != spared
        wait_until(lambda: [one.is_running for one in stack.workers].count(False) == 1, "the worker to be dead")
        stack.mend()
    killer = wait_for_status(killer.pk, RunStatus.ERROR, PATIENCE_SECONDS)
    assert (error_of(killer)["type"], killer.attempt, killer.crashes) == ("attempts_exhausted", 2, 2)
    assert "was lost" in error_of(killer)["message"]
    assert wait_for_status(behind.pk, RunStatus.SUCCESS, PATIENCE_SECONDS).attempt == 1
    open_gate(beside.pk)
    beside = wait_for_status(beside.pk, RunStatus.SUCCESS)
    assert (beside.attempt, beside.crashes) == (1, 0)


def test_a_child_that_is_blocked_or_waits_for_the_database_keeps_its_run(stack: Stack) -> None:
    """For two leases: it is not the child that renews."""
    runs = [started(kind, seconds=2 * SHORT["LEASE_SECONDS"])[0] for kind in ("blocked", "slow_query")]
    ended = [wait_for_status(run.pk, RunStatus.SUCCESS, PATIENCE_SECONDS) for run in runs]
    assert [(run.attempt, run.crashes, len(entries(run.pk, "start"))) for run in ended] == [(1, 0, 1)] * 2


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
    assert not any(lives(leaving))
