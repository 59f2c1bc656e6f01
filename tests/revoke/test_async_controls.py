"""What two parts of the loop processes are for: without them the innocent pay. `nothing` is the counterpart."""

import pytest

from runs.actors import Actor
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.assistants import is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import open_gate, wait_for_entry
from tests.support.stage import wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

RUNS = {"LOOP_PROCESSES": 1, "GRACE_SECONDS": 1.0, "INTERRUPT_EVERY_SECONDS": 0.2}

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.mark.parametrize("fault", ["nothing", "cancelled_once"])
def test_a_cancellation_that_is_lost_costs_the_process_unless_it_is_repeated(db: None, fault: str) -> None:
    """And with it everybody's attempt."""
    with WorkerProcess(pool="async", concurrency=4, faults=(fault,), runs=RUNS):
        run = make_run(make_thread(), assistant="swallowing")
        process = wait_for_entry(run.pk, "start").pid
        cancel_run(run_id=run.pk, actor=Actor("operator"))
        wait_until_settled(run.pk)
        assert is_alive(process) == (fault == "nothing")


@pytest.mark.parametrize("fault", ["nothing", "all_to_blame"])
def test_a_neighbour_would_be_given_up_if_every_crash_counted(db: None, fault: str) -> None:
    """It may crash once, and has not."""
    with WorkerProcess(pool="async", concurrency=4, faults=(fault,), runs=RUNS):
        neighbour = make_run(make_thread(), assistant="waiting", kwargs={"input": {"gate": fault}}, max_attempts=1)
        wait_for_entry(neighbour.pk, "start")
        killer = make_run(make_thread(), assistant="killed_once")
        wait_for_status(killer.pk, RunStatus.SUCCESS)
        open_gate(fault)
        ended = wait_until_settled(neighbour.pk)
        assert (ended.status == RunStatus.SUCCESS) == (fault == "nothing")
