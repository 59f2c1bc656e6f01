"""Scratch."""
from collections.abc import Iterator
import pytest
from runs.actors import Actor
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.factories import make_run, make_thread
from tests.support.ledger import open_gate, wait_for_entry, entries, events
from tests.support.stage import wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    with WorkerProcess(concurrency=8, pool="async", runs={"GRACE_SECONDS": 1.0, "INTERRUPT_EVERY_SECONDS": 0.1, "LOOP_PROCESSES": 1}) as worker:
        yield worker
        print(worker.log[-6000:])

@pytest.mark.parametrize("kind", ["neighbour", "prompt"])
def test_ends(worker, kind):
    run = make_run(make_thread(), assistant=kind)
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert run.attempt == 1

@pytest.mark.parametrize("kind", ["async_code", "sync_code", "thread_code", "exiting", "async_careful", "yielding", "offloading"])
def test_cancel(worker, kind):
    run = make_run(make_thread(), assistant=kind, kwargs={"input": {"seconds": 0.2}})
    wait_for_entry(run.pk, "start")
    cancel_run(run_id=run.pk, actor=Actor("operator"))
    run = wait_until_settled(run.pk)
    assert len(entries(run.pk, "left")) == len(entries(run.pk, "start"))
    assert "process" not in list(run.events.all())[-1].reason, list(run.events.all())[-1].reason

@pytest.mark.parametrize("kind", ["stubborn", "c_call"])
def test_kill(worker, kind):
    beside = make_run(make_thread(), assistant="neighbour")
    wait_for_entry(beside.pk, "start")
    run = make_run(make_thread(), assistant=kind)
    wait_for_entry(run.pk, "start")
    cancel_run(run_id=run.pk, actor=Actor("operator"))
    run = wait_until_settled(run.pk)
    open_gate(beside.pk)
    beside = wait_for_status(beside.pk, RunStatus.SUCCESS)
    assert (beside.attempt, beside.crashes) == (2, 0)
