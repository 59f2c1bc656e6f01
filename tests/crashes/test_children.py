"""A worker's children killed, and asked to go, in the middle of runs. No run is lost, none is done twice."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from runs.actors import Actor
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, events, open_gate, wait_for_entry
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

#: No renewal comes in time to recover anything: whatever is recovered at once was observed.
SELDOM = {"RENEW_SECONDS": 60.0, "LEASE_SECONDS": 600.0, "GRACE_SECONDS": 0.5, "INTERRUPT_EVERY_SECONDS": 0.1}

#: How often something is done of which the quickest counts.
TRIES = 10

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children."""
    empty_queue()
    with WorkerProcess(runs=SELDOM) as worker:
        yield worker


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


def test_a_killed_child_frees_its_run_well_under_a_second(worker: WorkerProcess) -> None:
    """By the quickest of several: its worker has seen it die, and waits for no lease and no sweep."""
    took: list[timedelta] = []
    while len(took) < TRIES and min(took, default=timedelta.max) > timedelta(seconds=0.5):
        run, child = started("neighbour")
        os.kill(child, signal.SIGKILL)
        killed_at = datetime.now(UTC)
        wait_for_entry(run.pk, "start", attempt=2)
        open_gate(run.pk)
        wait_for_status(run.pk, RunStatus.SUCCESS)
        took.append(run.events.get(to_status=RunStatus.PENDING, attempt=1).at - killed_at)
    assert min(took) < timedelta(seconds=1)


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
