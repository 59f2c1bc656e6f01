"""An interruption is for the assistant: not for its event loop's own code, nor for a process it has forked."""

import signal
from collections.abc import Iterator

import pytest

from runs.actors import Actor
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.factories import make_run, make_thread
from tests.support.ledger import wait_for_entry
from tests.support.scale import rounds
from tests.support.stage import error_of, head_values, settlement, wait_until_settled
from tests.support.worker import WorkerProcess

OPERATOR = Actor("operator")

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """One child, and interruptions that come often."""
    with WorkerProcess(concurrency=1, runs={"INTERRUPT_EVERY_SECONDS": 0.1}) as worker:
        yield worker


@pytest.mark.parametrize("assistant", ["yielding", "offloading"])
def test_a_loop_that_is_interrupted_can_still_end(worker: WorkerProcess, assistant: str) -> None:
    """It leaves by itself; nobody has to kill it when the grace is over."""
    for _ in range(rounds(50)):
        run = make_run(make_thread(), assistant=assistant)
        wait_for_entry(run.pk, "start")
        cancel_run(run_id=run.pk, actor=OPERATOR)
        wait_until_settled(run.pk)
        assert settlement(run).reason == "settled: left"


def test_a_forked_process_is_not_the_attempt(worker: WorkerProcess) -> None:
    """It dies of a SIGTERM like any other, and the run is not handed back for it."""
    run = make_run(make_thread(), assistant="forking")
    ended = wait_until_settled(run.pk)
    assert (ended.status, ended.attempt) == (RunStatus.SUCCESS, 1)
    assert head_values(run) == {"signal": signal.SIGTERM}


def test_a_forked_process_does_not_come_out_of_the_assistant(worker: WorkerProcess) -> None:
    """Only one of the two goes on to the outcome; the pool child is as good as before."""
    run = make_run(make_thread(), assistant="straying")
    ended = wait_until_settled(run.pk)
    assert (ended.status, ended.attempt) == (RunStatus.SUCCESS, 1)
    assert head_values(run) == {"child": 1}
    after = make_run(make_thread(), assistant="prompt")
    assert wait_until_settled(after.pk).status == RunStatus.SUCCESS


def test_a_run_that_ends_its_own_process_is_not_tried_for_ever(worker: WorkerProcess) -> None:
    run = make_run(make_thread(), assistant="self_ending", max_attempts=1)
    ended = wait_until_settled(run.pk)
    assert (ended.status, ended.attempt, ended.crashes) == (RunStatus.ERROR, 2, 1)
    assert error_of(ended)["type"] == "attempts_exhausted"
