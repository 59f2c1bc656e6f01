"""Redis delivers a message again that was not acknowledged within `visibility_timeout`: nothing is executed twice."""

import pytest

from runs.models import Run
from runs.states import RunStatus
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.stage import empty_queue, wait_for_status
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")

#: Nothing but Redis delivers anything again.
ALONE = {"REDISPATCH_SECONDS": 600.0, "REDISPATCH_MAX_SECONDS": 600.0}


def lines(worker: WorkerProcess, run: Run, word: str) -> int:
    """How often the worker has said this of the run's message."""
    return worker.log.count(f"[{run.pk}] {word}")


def test_redelivery_starts_no_second_execution() -> None:
    empty_queue()
    with WorkerProcess(faults=("short_visibility",), runs=ALONE) as worker:
        run = make_run(make_thread(), assistant="neighbour")
        wait_for_entry(run.pk, "start")
        wait_until(lambda: lines(worker, run, "ignored") == 1, "the second delivery to lose its claim")
        assert lines(worker, run, "received") == 2
        open_gate(run.pk)
        run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, len(entries(run.pk, "start"))) == (1, 0, 1)


def test_without_the_claim_it_would_be_executed_again() -> None:
    """The control: the second delivery finds a free child."""
    empty_queue()
    with WorkerProcess(faults=("short_visibility", "no_claim"), runs=ALONE) as worker:
        run = make_run(make_thread(), assistant="neighbour")
        wait_until(lambda: len(entries(run.pk, "start")) == 2, "the second execution")
        assert lines(worker, run, "received") > 1
        open_gate(run.pk)
        wait_for_status(run.pk, RunStatus.SUCCESS)
