"""Many attempts in one process: none of them waits for another, is hit by another's order, or outlives its end."""

from collections.abc import Iterator

import pytest
from django.db import transaction

from runs.actors import Actor
from runs.models import Run, Thread
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, events, open_gate, wait_for_entry, wait_until
from tests.support.scale import rounds
from tests.support.stage import error_of, head_values, settlement, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

MANY = 256
RUNS = {
    "LOOP_PROCESSES": 1,
    "GRACE_SECONDS": 5.0,
    "INTERRUPT_EVERY_SECONDS": 0.2,
    "LOOP_STALL_SECONDS": 0.3,
    "THREAD_LEAVE_SECONDS": 0.5,
}

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """One process."""
    with WorkerProcess(pool="async", concurrency=MANY, runs=RUNS) as worker:
        yield worker


def begin(assistant: str, **input: object) -> tuple[Run, int]:
    """A run that has started, and its process."""
    run = make_run(make_thread(), assistant=assistant, kwargs={"input": input})
    return run, wait_for_entry(run.pk, "start").pid


def cancel(run: Run) -> None:
    """From outside."""
    cancel_run(run_id=run.pk, actor=Actor("operator"))


def assert_left(run: Run) -> None:
    """It has ended by itself, and everything of it that had entered has left."""
    wait_until_settled(run.pk)
    assert settlement(run).reason == "settled: left"
    assert len(entries(run.pk, "left")) == len(entries(run.pk, "start"))


def assert_success(run: Run) -> None:
    """In its first attempt."""
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, head_values(run)) == (1, 0, ANSWER)


def assert_goes_on(run: Run) -> None:
    """It does something."""
    beats = len(entries(run.pk, "beat"))
    wait_until(lambda: len(entries(run.pk, "beat")) > beats + 5, "the other to go on")


def test_many_at_once(worker: WorkerProcess) -> None:
    """All of them are in the middle of their work at one moment, in one process with four connections."""
    runs = [
        make_run(make_thread(), assistant="waiting", kwargs={"input": {"gate": "many"}}) for _ in range(rounds(MANY))
    ]
    pids = {wait_for_entry(run.pk, "start").pid for run in runs}
    assert len(pids) == 1
    open_gate("many")
    for run in runs:
        assert_success(run)


@pytest.mark.parametrize("kind", ["async_code", "sync_code", "thread_code", "pooled_for_ever", "holding_in_python"])
def test_an_order_hits_one_attempt(worker: WorkerProcess, kind: str) -> None:
    """Its twin, which does the same in the same process, goes on."""
    beside, process = begin("waiting", gate=f"beside {kind}")
    twin, _ = begin("sync_code" if kind == "holding_in_python" else kind)
    victim, pid = begin(kind)
    assert pid == process
    cancel(victim)
    assert_left(victim)
    assert_goes_on(twin)
    cancel(twin)
    assert_left(twin)
    open_gate(f"beside {kind}")
    assert_success(beside)
    assert is_alive(process)


@pytest.mark.parametrize("kind", ["careful", "careful_thread", "async_careful", "async_waiting_careful"])
def test_cleanup_is_not_interrupted(worker: WorkerProcess, kind: str) -> None:
    """It has the whole grace, however often the order is repeated meanwhile."""
    run = make_run(make_thread(), assistant=kind, kwargs={"input": {"seconds": 1.0}})
    wait_for_entry(run.pk, "start")
    cancel(run)
    assert_left(run)
    assert events(run.pk) == ["start", "cleaning", "cleaned", "left"]


def test_a_cancellation_that_is_lost_is_repeated(worker: WorkerProcess) -> None:
    """Until the attempt unwinds from one: nobody's process has to be killed for it."""
    run, process = begin("swallowing")
    cancel(run)
    assert_left(run)
    assert events(run.pk) == ["start", "swallowed", "left"]
    assert is_alive(process)


def test_who_holds_the_loop_is_named_and_killed_only_if_it_must_stop(worker: WorkerProcess) -> None:
    """The others are replaced then."""
    beside, process = begin("waiting", gate="held")
    run, _ = begin("holding_in_c")
    wait_until(lambda: f"it is held by holding_in_c (run {run.pk}, attempt 1)" in worker.log, "the report")
    assert is_alive(process)
    cancel(run)
    run = wait_until_settled(run.pk)
    assert not is_alive(process)
    open_gate("held")
    beside = wait_for_status(beside.pk, RunStatus.SUCCESS)
    assert (beside.attempt, beside.crashes, head_values(beside)) == (2, 0, ANSWER)


def test_the_loop_does_not_wait_for_the_database(worker: WorkerProcess) -> None:
    """While somebody else holds the lock that a step needs, all others go on."""
    stepper, _ = begin("async_stepper")
    other, _ = begin("async_code")
    with transaction.atomic():
        Thread.objects.select_for_update().get(pk=stepper.thread_id)
        open_gate(f"{stepper.pk}-0")
        for _ in range(3):
            assert_goes_on(other)
        assert entries(stepper.pk, "stored") == []
    wait_for_entry(stepper.pk, "stored")
    for run in (stepper, other):
        cancel(run)
        assert_left(run)
    assert head_values(stepper) == {"step": 0}


@pytest.mark.parametrize("kind", ["stepper", "async_stepper"])
def test_committed_steps_are_kept(worker: WorkerProcess, kind: str) -> None:
    """What was stored before the cancel stays."""
    run, _ = begin(kind)
    for number in range(3):
        open_gate(f"{run.pk}-{number}")
    wait_until(lambda: len(entries(run.pk, "stored")) == 3, "three steps")
    cancel(run)
    assert_left(run)
    assert head_values(run) == {"step": 2}


def test_a_pool_of_threads_that_is_shared_is_nobodys(worker: WorkerProcess) -> None:
    """Its threads outlive the attempt that has used it first, which has left all the same."""
    first, second = (make_run(make_thread(), assistant="pooled") for _ in range(2))
    for run in (first, second):
        assert_success(run)
    assert len({entry.pid for run in (first, second) for entry in entries(run.pk)}) == 1


def test_what_is_forgotten_ends_with_its_attempt(worker: WorkerProcess) -> None:
    """Tasks and generators are closed, timers never fire."""
    run, process = begin("forgetting")
    assert_success(run)
    wait_until_settled(run.pk)
    assert sorted(events(run.pk)) == ["generator closed", "left", "start", "task ended"]
    later, _ = begin("napper", seconds=0.7)
    assert_success(later)
    assert "timer" not in events(run.pk)
    assert is_alive(process)


@pytest.mark.parametrize("kind", ["quitter", "async_quitter"])
def test_sys_exit_is_an_error_of_the_assistant(worker: WorkerProcess, kind: str) -> None:
    """And nobody else's."""
    beside, process = begin("waiting", gate=f"exit {kind}")
    run, _ = begin(kind)
    run = wait_until_settled(run.pk)
    assert (run.status, error_of(run)["type"]) == (RunStatus.ERROR, "SystemExit")
    open_gate(f"exit {kind}")
    assert_success(beside)
    assert is_alive(process)


def test_time_limit(worker: WorkerProcess) -> None:
    """As everywhere."""
    run = make_run(make_thread(), assistant="async_code", timeout_seconds=1.0)
    run = wait_until_settled(run.pk)
    assert (run.status, run.attempt) == (RunStatus.TIMEOUT, 1)
    assert_left(run)


@pytest.mark.parametrize("kind", ["forking", "straying"])
def test_a_forked_process_is_not_the_attempt(worker: WorkerProcess, kind: str) -> None:
    """It ends alone, and does not come out of the assistant."""
    run = wait_until_settled(make_run(make_thread(), assistant=kind).pk)
    assert (run.status, run.attempt) == (RunStatus.SUCCESS, 1)


def test_log_lines_say_whose_they_are(worker: WorkerProcess) -> None:
    """Also those of threads."""
    run = make_run(make_thread(), assistant="talker")
    assert_success(run)
    for said in ("said by the assistant", "said by its thread"):
        lines = [line for line in worker.log.splitlines() if said in line]
        assert [f"run={run.pk} attempt=1" in line for line in lines] == [True]
