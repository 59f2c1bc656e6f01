"""Real workers that are drained: they finish what they execute, take nothing more, and nothing waits for them."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from unittest import mock
from uuid import uuid4

import pytest
from celery import current_app

from runs.models import ClockTimestamp, Run, Worker
from runs.services.draining import resume_worker
from runs.states import RunStatus
from tests.support.factories import SYSTEM, drain, make_run, make_thread, stored
from tests.support.ledger import open_gate, wait_for_entry, wait_until
from tests.support.stage import broker, empty_queue, messages, queued_messages, wait_for_status
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(180)]

#: Nobody renews by himself, or publishes anything anew, while a test lasts.
RUNS = {"RENEW_SECONDS": 60.0, "LEASE_SECONDS": 600.0, "LOOP_PROCESSES": 1, "SOFT_SHUTDOWN_SECONDS": 20.0}
POOLS = pytest.mark.parametrize("pool", ["prefork", "async"])
STOPPED, AGAIN = "it takes no messages any more", "it takes messages again"


@pytest.fixture
def workers(db: None) -> Iterator[ExitStack]:
    """Workers that are started in the test end with it."""
    empty_queue()
    with ExitStack() as stack:
        yield stack


def start(workers: ExitStack, pool: str, *faults: str, **runs: float) -> WorkerProcess:
    """Two runs at a time; `runs` goes over RUNS."""
    return workers.enter_context(WorkerProcess(pool=pool, concurrency=2, faults=faults, runs=RUNS | runs))


def life(worker: WorkerProcess) -> Worker:
    """Its row."""
    return Worker.objects.get(host__endswith=f":{worker.pid}", buried_at=None)


class Gate:
    """Runs that end when it is opened."""

    def __init__(self) -> None:
        self._name = str(uuid4())

    def make(self) -> Run:
        """Such a run."""
        return make_run(make_thread(), assistant="waiting", kwargs={"input": {"gate": self._name}})

    def open(self) -> None:
        """For these and those to come."""
        open_gate(self._name)


def resume(worker: WorkerProcess) -> None:
    """Let it take runs again."""
    assert resume_worker(worker_id=life(worker).pk, actor=SYSTEM)


def drain_unheard(worker: WorkerProcess) -> None:
    """Its row says that it is drained, and no message tells it."""
    with mock.patch("runs.dispatch.read_row_on_commit"):
        drain(life(worker))


def wait_until_all_succeed(runs: list[Run], worker: WorkerProcess) -> None:
    """In their first attempt, on this worker."""
    for run in runs:
        ended = wait_for_status(run.pk, RunStatus.SUCCESS)
        assert (ended.attempt, ended.worker_id) == (1, life(worker).pk)


def queues_of(worker: WorkerProcess) -> list[object]:
    """What it says that it takes messages from, in a list; an empty one: it does not answer."""
    with current_app.connection_for_write() as connection:  # of its own: a test ends those that are kept
        inspect = current_app.control.inspect(destination=[worker.name], limit=1, timeout=2.0, connection=connection)
        return list((inspect.active_queues() or {}).values())


@POOLS
def test_a_drained_worker_finishes_and_the_other_takes_the_rest(pool: str, workers: ExitStack) -> None:
    one, other = start(workers, pool), start(workers, pool)
    late, free = Gate(), Gate()
    running = late.make()
    wait_for_entry(running.pk, "start")
    holder, rest = (one, other) if stored(running).worker_id == life(one).pk else (other, one)
    drain(life(holder))
    queue = [free.make() for _ in range(6)]
    free.open()
    wait_until_all_succeed(queue, rest)

    assert stored(running).status == RunStatus.RUNNING
    late.open()
    wait_until_all_succeed([running], holder)
    wait_until(lambda: STOPPED in holder.log, "the drained worker to stop taking messages")

    resume(holder)
    wait_until(lambda: AGAIN in holder.log, "the resumed worker to take messages")
    drain(life(rest))
    wait_until_all_succeed([free.make() for _ in range(3)], holder)


@POOLS
def test_the_only_worker_hands_over_once_what_reaches_it_after_its_drain(pool: str, workers: ExitStack) -> None:
    """It was told nothing: the refused claim is how it learns of its drain. Then the run waits, published once more."""
    worker = start(workers, pool)
    drain_unheard(worker)
    gate = Gate()
    run = gate.make()
    wait_until(lambda: stored(run).dispatches == 2, "the run to be handed over")
    wait_until(lambda: messages() == queued_messages() == 1, "the first message to be acknowledged")
    assert STOPPED in worker.log
    assert gate.make().dispatches == 1
    assert queued_messages() == 2
    assert (stored(run).status, stored(run).dispatches) == (RunStatus.PENDING, 2)

    gate.open()
    resume(worker)
    wait_until_all_succeed([run], worker)


@POOLS
def test_handed_over_at_once_a_run_comes_back_again_and_again(pool: str, workers: ExitStack) -> None:
    """The negative control: the order of stopping and handing over is what ends it."""
    worker = start(workers, pool, "impatient")
    drain_unheard(worker)
    gate = Gate()
    run = gate.make()
    wait_until(lambda: stored(run).dispatches > 20, "the run to go round in circles")
    assert (stored(run).status, stored(run).attempt) == (RunStatus.PENDING, 0)


def test_a_drained_worker_that_loses_the_broker_takes_nothing_afterwards(workers: ExitStack) -> None:
    """What it is told while it connects is lost; its renewals know."""
    worker = start(workers, "prefork", RENEW_SECONDS=0.5)
    drain(life(worker))
    wait_until(lambda: STOPPED in worker.log, "the worker to stop taking messages")
    connections = worker.log.count("Connected to")
    with broker() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")
    wait_until(lambda: worker.log.count("Connected to") > connections, "the worker to connect again", 60.0)
    assert wait_until(lambda: queues_of(worker), "the worker to answer", 60.0) == [[]]
    gate = Gate()
    run = gate.make()
    assert queued_messages() == 1
    gate.open()
    resume(worker)
    wait_until_all_succeed([run], worker)


def test_a_process_that_loses_its_life_stays_drained_in_the_next(workers: ExitStack) -> None:
    worker = start(workers, "prefork", RENEW_SECONDS=0.5)
    former = life(worker)
    drain(former)
    wait_until(lambda: STOPPED in worker.log, "the worker to stop taking messages")
    Worker.objects.filter(pk=former.pk).update(buried_at=ClockTimestamp())
    wait_until(worker.is_ready, "the next life of the worker")
    assert life(worker).draining_by == SYSTEM.name
    assert queues_of(worker) == [[]]
    resume(worker)
    gate = Gate()
    gate.open()
    wait_until_all_succeed([gate.make()], worker)


@POOLS
def test_a_drained_worker_shuts_down_as_ever_and_its_successor_takes_runs(pool: str, workers: ExitStack) -> None:
    worker = start(workers, pool)
    gate = Gate()
    run = gate.make()
    wait_for_entry(run.pk, "start")
    drained = life(worker)
    drain(drained)
    wait_until(lambda: STOPPED in worker.log, "the worker to stop taking messages")
    worker.send(signal.SIGTERM)
    gate.open()
    assert worker.wait() == 0
    assert wait_for_status(run.pk, RunStatus.SUCCESS).attempt == 1
    drained.refresh_from_db()
    assert (drained.buried_at is not None, drained.draining_at is not None) == (True, True)

    successor = start(workers, pool)
    assert life(successor).draining_at is None
    wait_until_all_succeed([gate.make()], successor)
