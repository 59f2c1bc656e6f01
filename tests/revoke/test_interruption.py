"""What an interruption does and does not do, beyond stopping the run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction

from runs.actors import Actor
from runs.models import ClockTimestamp, Run, Worker
from runs.services.cancel import cancel_run
from runs.services.recover import recover_stalled_runs
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, events, open_gate, wait_for_entry, wait_for_silence, wait_until
from tests.support.stage import error_of, head_values, settlement, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

OPERATOR = Actor("operator")

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children, and everything happens soon."""
    settings = {
        "GRACE_SECONDS": 2.5,
        "INTERRUPT_EVERY_SECONDS": 0.1,
        "THREAD_LEAVE_SECONDS": 0.2,
        "LEASE_SECONDS": 1.0,
        "RENEW_SECONDS": 0.2,
    }
    with WorkerProcess(concurrency=2, runs=settings) as worker:
        yield worker


def started(assistant: str, *, timeout: float | None = None, **given: object) -> tuple[Run, int]:
    """A run that has started, and the process that executes it."""
    run = make_run(make_thread(), assistant=assistant, timeout_seconds=timeout, kwargs={"input": given})
    return run, wait_for_entry(run.pk, "start").pid


# Cleanup has the whole grace


@pytest.mark.parametrize("kind", ["careful", "careful_thread", "async_careful", "async_waiting_careful"])
def test_cleanup_is_not_interrupted(worker: WorkerProcess, kind: str) -> None:
    """Ten more interruptions would have come while the assistant cleans up."""
    victim, child = started(kind, seconds=1.0)
    cancel_run(run_id=victim.pk, actor=OPERATOR)
    victim = wait_until_settled(victim.pk)
    assert victim.status == RunStatus.INTERRUPTED
    assert events(victim.pk)[:3] == ["start", "cleaning", "cleaned"]
    assert is_alive(child)


# Generators


@pytest.mark.parametrize("kind", ["stepper", "async_stepper"])
def test_committed_steps_are_kept(worker: WorkerProcess, kind: str) -> None:
    """Between two steps a generator is interrupted like any other code."""
    victim, _ = started(kind)
    open_gate(f"{victim.pk}-0")
    wait_for_entry(victim.pk, "stored")
    cancel_run(run_id=victim.pk, actor=OPERATOR)
    victim = wait_until_settled(victim.pk)
    assert head_values(victim) == {"step": 0}
    assert events(victim.pk) == ["start", "stored", "left"]


def test_a_worker_that_hears_nothing_learns_with_the_next_renewal(db: None) -> None:
    """The message is only a hint."""
    with WorkerProcess(concurrency=1, faults=("deaf",), runs={"RENEW_SECONDS": 0.3}):
        victim, _ = started("sync_code")
        cancel_run(run_id=victim.pk, actor=OPERATOR)
        victim = wait_until_settled(victim.pk)
    assert (victim.status, victim.cancelled_by) == (RunStatus.INTERRUPTED, "operator")
    assert events(victim.pk) == ["start", "left"]


# The assistant's own exit


def test_sys_exit_is_an_error_of_the_assistant(worker: WorkerProcess) -> None:
    """Nobody ordered it, so it is judged like any exception, and the process goes on."""
    run, child = started("quitter")
    run = wait_until_settled(run.pk)
    assert (run.status, error_of(run)["type"], error_of(run)["message"], run.attempt) == (
        RunStatus.ERROR,
        "SystemExit",
        "3",
        1,
    )
    assert is_alive(child)


# Threads and tasks left behind


def answered(run: Run) -> None:
    """The assistant returns by itself."""
    open_gate(f"return-{run.thread_id}")


def cancelled(run: Run) -> None:
    """Somebody cancels."""
    cancel_run(run_id=run.pk, actor=OPERATOR)


#: What stays behind, and what its run's history says of it.
LEFT_BEHIND = {
    "littering": "thread 'Thread-",
    "clinging": "task 'clinging' (clinging.<locals>.cling)",
    "offloaded": "thread 'asyncio_",
}


@pytest.mark.parametrize("kind", LEFT_BEHIND)
@pytest.mark.parametrize(
    ("end", "status"),
    [(answered, RunStatus.SUCCESS), (cancelled, RunStatus.INTERRUPTED)],
    ids=["answered", "cancelled"],
)
def test_what_is_left_behind_ends_with_its_process(
    worker: WorkerProcess, kind: str, end: Callable[[Run], None], status: RunStatus
) -> None:
    """The outcome stands; the run is settled when the process is dead, and then nothing is written any more."""
    beside, other_child = started("neighbour")
    thread = make_thread()
    run = make_run(thread, assistant=kind, kwargs={"input": {"gate": f"return-{thread.pk}"}})
    child = wait_for_entry(run.pk, "start").pid
    end(run)
    run = wait_until_settled(run.pk)
    assert (run.status, run.attempt, run.crashes) == (status, 1, 0)
    assert not is_alive(child)
    assert entries(run.pk)[-1].time <= settlement(run).at
    assert settlement(run).reason == f"settled: process {child} exited"
    if status == RunStatus.SUCCESS:
        reasons = [event.reason for event in run.events.filter(from_status=RunStatus.RUNNING)]
        assert [reason.startswith(f"finished; left behind: {LEFT_BEHIND[kind]}") for reason in reasons] == [True]
        assert head_values(run) == ANSWER
    open_gate(beside.pk)
    beside = wait_for_status(beside.pk, RunStatus.SUCCESS)
    assert {entry.pid for entry in entries(beside.pk)} == {other_child}


def test_a_task_left_behind_has_the_grace_for_its_cleanup(worker: WorkerProcess) -> None:
    """Longer than threads would have: it has been told to end. So has a generator that nobody has finished."""
    run, child = started("tidy", seconds=1.0)
    run = wait_until_settled(run.pk)
    assert (run.status, run.reason) == (RunStatus.SUCCESS, "finished")
    assert events(run.pk) == ["start", "left", "cleaning", "cleaned", "closed"]
    assert is_alive(child)


# Time limits


@pytest.mark.parametrize(("kind", "dies"), [("sync_code", False), ("async_code", False), ("stubborn", True)])
def test_time_limit(worker: WorkerProcess, kind: str, dies: bool) -> None:
    """A status of its own, and the same interruption as a cancel, to the same end."""
    run, child = started(kind, timeout=0.3)
    run = wait_until_settled(run.pk)
    transitions = list(run.events.values_list("from_status", "to_status"))
    assert transitions[2:] == [("running", "timeout"), ("timeout", "timeout")]
    assert (error_of(run)["type"], run.cancelled_by, is_alive(child)) == ("RunTimedOut", "", not dies)
    assert entries(run.pk)[-1].time <= settlement(run).at


# The lease


@contextmanager
def renewal_held_up(worker: WorkerProcess) -> Iterator[Worker]:
    """Somebody holds the worker's row: it cannot renew its lease."""
    with transaction.atomic():
        yield Worker.objects.select_for_update().get(host__endswith=f":{worker.pid}", buried_at=None)


def test_executor_pauses_while_its_lease_is_not_confirmed(worker: WorkerProcess) -> None:
    """It asks nobody, and goes on when the lease is."""
    run, _ = started("emitter")
    with renewal_held_up(worker):
        wait_for_silence(run.pk)
        beats = len(entries(run.pk))
    wait_until(lambda: len(entries(run.pk)) > beats, "the executor to go on")
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, head_values(run)) == (1, ANSWER)


def test_paused_executor_is_interrupted(worker: WorkerProcess) -> None:
    """The pause is the executor's own code, and still heeds an order."""
    run, child = started("emitter")
    with renewal_held_up(worker):
        wait_for_silence(run.pk)
        settled = cancel_in_another_transaction(run)
    assert settled.status == RunStatus.INTERRUPTED
    assert events(run.pk) == ["start", "left"]
    assert is_alive(child)


def cancel_in_another_transaction(run: Run) -> Run:
    """Cancel, and wait until that is settled, without leaving this thread's transaction."""
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    def cancel() -> Run:
        try:
            cancel_run(run_id=run.pk, actor=OPERATOR)
            settled: Run = wait_until_settled(run.pk)
            return settled
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(cancel).result()


def test_buried_worker_stops_and_begins_a_new_life(worker: WorkerProcess) -> None:
    """What it executed is taken from it; when that has left it takes runs again, under another id."""
    run, child = started("neighbour")
    with renewal_held_up(worker) as first_life:
        Worker.objects.filter(pk=first_life.pk).update(buried_at=ClockTimestamp())
    assert wait_for_entry(run.pk, "left").attempt == 1
    wait_until(lambda: recover_stalled_runs() == 1 or not leased(run), "the run to be recovered")
    assert wait_for_entry(run.pk, "start", attempt=2).time > wait_for_entry(run.pk, "left").time
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes, is_alive(child)) == (2, 1, True)
    assert run.worker_id != first_life.pk
    assert run.worker is not None
    assert run.worker.host == first_life.host


def leased(run: Run) -> bool:
    """Whether a worker holds the run."""
    return Run.objects.leased().filter(pk=run.pk).exists()
