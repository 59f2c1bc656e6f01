"""Celery's own remote control, as operators and Flower use it: for a run every way of revoking is a cancel."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app

from runs.models import Run
from runs.states import RunStatus
from tests.support.assistants import is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import events, open_gate, wait_for_entry, wait_until
from tests.support.stage import empty_queue, queued_messages, wait_for_status, wait_until_settled
from tests.support.worker import ROOT, WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children, and the task `tests.nap` beside the runs."""
    with WorkerProcess(concurrency=2, faults=("nothing",)) as worker:
        yield worker


def started(assistant: str) -> tuple[Run, int]:
    """A run that has started, and the process that executes it."""
    run = make_run(make_thread(), assistant=assistant)
    return run, wait_for_entry(run.pk, "start").pid


def control(*arguments: str) -> None:
    """The command line."""
    command = [sys.executable, "-m", "celery", "-A", "project", "control", *arguments]
    subprocess.run(command, cwd=ROOT, env=os.environ, check=True, capture_output=True, timeout=30)


def assert_cancelled_from_outside(run: Run) -> None:
    """By whom is on record."""
    run = wait_until_settled(run.pk)
    assert (run.status, run.cancelled_by) == (RunStatus.INTERRUPTED, "remote control")
    assert [event.actor for event in run.events.filter(from_status="running")] == ["remote control"]


def test_revoke_of_many_by_command_line(worker: WorkerProcess) -> None:
    """Runs and unknown ids mixed."""
    (one, _), (other, _) = started("sync_code"), started("async_code")
    control("revoke", str(one.pk), "11111111-2222-4333-8444-555555555555", "no-uuid", str(other.pk))
    assert_cancelled_from_outside(one)
    assert_cancelled_from_outside(other)


@pytest.mark.parametrize(("signum", "dies"), [("SIGTERM", False), ("SIGKILL", True)])
def test_terminate_by_command_line(worker: WorkerProcess, signum: str, dies: bool) -> None:
    """The signal decides whether the process is spared."""
    run, child = started("sync_code")
    control("terminate", signum, str(run.pk))
    assert_cancelled_from_outside(run)
    assert is_alive(child) is not dies


def test_revoke_by_stamped_headers(worker: WorkerProcess) -> None:
    """A run whose message carries the stamp is cancelled; the process is spared."""
    stamp: dict[str, Any] = {"tenant": "acme", "stamped_headers": ["tenant"]}
    with worker.not_consuming():
        run = make_run(make_thread(), assistant="sync_code")
        wait_until(lambda: queued_messages() == 1, "the message without the stamp")
        empty_queue()
        current_app.send_task("runs.execute_run", args=(str(run.pk),), task_id=str(run.pk), ignore_result=True, **stamp)
    child = wait_for_entry(run.pk, "start").pid
    current_app.control.revoke_by_stamped_headers({"tenant": "acme"}, terminate=True, signal="SIGTERM")
    assert_cancelled_from_outside(run)
    assert is_alive(child)


def test_revoke_of_a_run_that_has_ended_changes_nothing(worker: WorkerProcess) -> None:
    """It is late, and nobody is hurt: the next run of the same process does not notice."""
    ended = make_run(make_thread(), assistant="prompt")
    ended = wait_for_status(ended.pk, RunStatus.SUCCESS)
    beside, _ = started("neighbour")
    control = current_app.control
    with current_app.connection_for_write() as connection:  # of its own: a test ends those that are kept
        control.revoke(str(ended.pk), terminate=True, signal="SIGKILL", connection=connection)
        answers = control.ping(destination=[worker.name], timeout=5.0, limit=1, connection=connection)
    assert answers  # and the revoke, which was before, has been heeded
    open_gate(beside.pk)
    assert wait_for_status(beside.pk, RunStatus.SUCCESS).attempt == 1
    ended.refresh_from_db()
    assert (ended.status, ended.cancelled_by) == (RunStatus.SUCCESS, "")


def test_another_task_of_the_worker_is_terminated_as_ever(worker: WorkerProcess) -> None:
    """What is no run is Celery's business."""
    nap = current_app.send_task("tests.nap", queue="runs", ignore_result=True)
    child = wait_for_entry(nap.id, "start").pid
    current_app.control.revoke(nap.id, terminate=True, signal="SIGKILL")
    assert wait_for_entry(nap.id, "revoked").what == {"terminated": True, "signum": "Signals"}
    wait_until(lambda: not is_alive(child), "the process to die, which is after Celery says so")
    assert events(nap.id) == ["start", "revoked"]
