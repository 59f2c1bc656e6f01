"""What each precaution is for: without it the failure is there, with it it is not."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from celery import current_app

from runs.actors import Actor
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.services.invariants import find_violations
from runs.states import CancelAction, RunStatus
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, events, open_gate, wait_for_entry, wait_until
from tests.support.stage import empty_queue, head_values, messages, queued_messages, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

OPERATOR = Actor("operator")
SETTINGS = {"GRACE_SECONDS": 5.0, "INTERRUPT_EVERY_SECONDS": 0.1, "RENEW_SECONDS": 60.0, "LEASE_SECONDS": 600.0}

pytestmark = pytest.mark.usefixtures("db", "swept")


@contextmanager
def worker_with(*faults: str, grace: float = 5.0) -> Iterator[WorkerProcess]:
    """A worker with one child, in which these parts are broken, and nothing in its queue."""
    empty_queue()
    with WorkerProcess(concurrency=1, faults=faults, runs={**SETTINGS, "GRACE_SECONDS": grace}) as worker:
        yield worker


def started(assistant: str, **given: object) -> tuple[Run, int]:
    """A run that has started, and the process that executes it."""
    run = make_run(make_thread(), assistant=assistant, kwargs={"input": given})
    return run, wait_for_entry(run.pk, "start").pid


# Celery's soft terminate marks a child for good: an innocent run that is killed in it later is "revoked" and lost.


def interrupted_then_killed(interrupt: Callable[[Run], object]) -> Run:
    """A run is interrupted softly; the next one in the same child is killed as by the system."""
    victim, child = started("sync_code")
    interrupt(victim)
    wait_until_settled(victim.pk)
    innocent, same_child = started("neighbour")
    assert same_child == child
    os.kill(child, signal.SIGKILL)
    return innocent


def revoke_softly(run: Run) -> None:
    """As `celery control revoke` with a soft signal."""
    current_app.control.revoke(str(run.pk), terminate=True, signal="SIGUSR1")


def test_soft_terminate_loses_an_innocent_run() -> None:
    """Celery reports it as revoked, acknowledges its message, and never delivers it again."""
    with worker_with("stock_revoke", "celery_only"):
        innocent = interrupted_then_killed(revoke_softly)
        report = wait_for_entry(innocent.pk, "revoked")
        wait_until(lambda: messages() == 0, "the innocent run's message to be acknowledged")
        innocent.refresh_from_db()
    assert report.what == {"terminated": True, "signum": "str"}
    assert (innocent.status, innocent.cancelled_by, innocent.leased) == (RunStatus.RUNNING, "", True)


def test_own_interruption_leaves_no_mark() -> None:
    """The same, interrupted by our own command: Celery delivers the innocent run again."""
    with worker_with("celery_only") as worker:
        innocent = interrupted_then_killed(lambda run: cancel_run(run_id=run.pk, actor=OPERATOR))
        received = f"[{innocent.pk}] received"
        wait_until(lambda: worker.log.count(received) == 2, "the innocent run's message to be delivered again")
    assert "revoked" not in events(innocent.pk)


def test_observed_exit_saves_the_innocent_run_even_then() -> None:
    """Recovery goes by our own table of processes, whatever Celery reports."""
    with worker_with("stock_revoke"):
        innocent = interrupted_then_killed(revoke_softly)
        wait_for_entry(innocent.pk, "start", attempt=2)
        open_gate(innocent.pk)
        innocent = wait_for_status(innocent.pk, RunStatus.SUCCESS)
    assert (innocent.attempt, innocent.crashes) == (2, 1)


@pytest.mark.parametrize("signum", ["SIGTERM", "SIGKILL"])
def test_celerys_own_terminate_leaves_a_run_in_pending(signum: str) -> None:
    """Taken for a crash, put back, and discarded as revoked: nobody executes it, nobody cancelled it."""
    with worker_with("stock_revoke"):
        victim, _ = started("sync_code")
        current_app.control.revoke(str(victim.pk), terminate=True, signal=signum)
        wait_until(lambda: len(entries(victim.pk, "revoked")) >= 2, "the message of the next attempt to be discarded")
        assert queued_messages() == 0
        victim.refresh_from_db()
    assert (victim.status, victim.cancelled_by, victim.attempt) == (RunStatus.PENDING, "", 1)


# The grace kill


def kill_aimed_at(victim: Run, child: int) -> None:
    """The kill of a stubborn run is decided, and not done yet, when the run ends by itself."""
    cancel_run(run_id=victim.pk, actor=OPERATOR)
    wait_for_entry(f"kill-{child}", "aimed")
    open_gate(victim.pk)
    wait_for_entry(victim.pk, "left")


def test_kill_without_the_row_hits_the_neighbour() -> None:
    """The process has gone on to another run when the kill comes."""
    with worker_with("kill_without_row", "slow_kill", grace=0.2):
        victim, child = started("stubborn")
        kill_aimed_at(victim, child)
        wait_until_settled(victim.pk)
        innocent, same_child = started("neighbour")
        assert same_child == child
        open_gate(f"kill-{child}")
        wait_for_entry(innocent.pk, "start", attempt=2)
        innocent.refresh_from_db()
    assert innocent.crashes == 1


def test_kill_that_holds_the_row_does_not() -> None:
    """The run cannot be settled before the kill, so its process cannot go on to another."""
    with worker_with("slow_kill", grace=0.2):
        victim, child = started("stubborn")
        kill_aimed_at(victim, child)
        innocent = make_run(make_thread(), assistant="prompt")
        victim.refresh_from_db()
        assert (victim.leased, events(innocent.pk)) == (True, [])
        open_gate(f"kill-{child}")
        wait_until_settled(victim.pk)
        innocent = wait_for_status(innocent.pk, RunStatus.SUCCESS)
    assert (innocent.attempt, innocent.crashes) == (1, 0)
    assert {entry.pid for entry in entries(innocent.pk)} != {child}


# Cleanup


def test_repeating_handler_cuts_cleanup_short() -> None:
    """The assistant's `finally` is interrupted, too."""
    with worker_with("repeating_handler"):
        for kind in ("careful", "careful_thread", "async_careful"):
            victim, _ = started(kind, seconds=1.0)
            cancel_run(run_id=victim.pk, actor=OPERATOR)
            wait_until_settled(victim.pk)
            assert "cleaning" in events(victim.pk)
            assert "cleaned" not in events(victim.pk)


# The fence


def late_step(*faults: str) -> Run:
    """A run yields a step after it was rolled back, executed by a worker that nobody told."""
    with worker_with("deaf", *faults):
        victim, _ = started("stepper")
        open_gate(f"{victim.pk}-0")
        wait_for_entry(victim.pk, "stored")
        cancel_run(run_id=victim.pk, actor=OPERATOR, action=CancelAction.ROLLBACK)
        open_gate(f"{victim.pk}-1")
        wait_until(lambda: events(victim.pk).count("stored") == 2 or "left" in events(victim.pk), "the late step")
        victim.thread.refresh_from_db()
        return victim


def test_without_the_fence_a_late_step_undoes_a_rollback() -> None:
    """The head is a step of the run that was rolled back."""
    victim = late_step("no_fence")
    assert victim.thread.head is not None
    assert head_values(victim) == {"step": 1}
    assert list(find_violations([victim.thread_id])) != []


def test_fence_refuses_a_late_step() -> None:
    """The executor learns of the rollback when it writes, and leaves."""
    victim = late_step()
    assert victim.thread.head is None
    assert events(victim.pk) == ["start", "stored", "left"]
    assert list(find_violations([victim.thread_id])) == []
