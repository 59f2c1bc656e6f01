"""RabbitMQ as the broker: the same promises, with another queue of hints."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.models import Run
from runs.services.api_keys import create_api_key
from runs.states import RunStatus
from tests.support.callers import Caller
from tests.support.factories import make_actor, make_thread
from tests.support.history import History, explain
from tests.support.ledger import entries, open_gate, wait_for_entry, wait_until
from tests.support.outages import family, standing_still
from tests.support.rabbitmq import RabbitMQ
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import wait_for_status

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(900)]

PATIENCE_SECONDS = 90.0


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A node for this module."""
    with RabbitMQ(Path(tmp_path_factory.mktemp("rabbitmq"))) as rabbit:
        yield rabbit


@pytest.fixture(scope="module")
def stack(db: None, rabbit: RabbitMQ) -> Iterator[Stack]:
    """Two workers, a scheduler, a web process. Only messages are quick: no renewal brings news in time."""
    runs = {"RENEW_SECONDS": 2.0, "LEASE_SECONDS": 6.0, "GRACE_SECONDS": 10.0}
    with Stack(workers=2, webs=1, runs=runs, CELERY_BROKER_URL=rabbit.url) as stack:
        yield stack


@pytest.fixture
def history() -> Iterator[History]:
    """What the clients of a test have seen; nothing of it is impossible."""
    history = History()
    yield history
    objections = history.objections()
    assert objections == [], explain(history, objections)


@pytest.fixture
def caller(stack: Stack, history: History) -> Caller:
    """A client."""
    key = create_api_key(owner=make_actor().owner, name="rabbit")[1]
    return Caller([web.url for web in stack.webs], key, history)


def create(caller: Caller, thread: str, assistant: str = "payer") -> str:
    """The id of an accepted run."""
    run = caller.create(thread, "enqueue", assistant)
    assert run is not None
    return run


def test_runs_are_executed_once_and_in_order(caller: Caller) -> None:
    threads = [str(make_thread().pk) for _ in range(3)]
    runs = [(thread, create(caller, thread)) for _ in range(5) for thread in threads]
    ended = [caller.wait(*run) for run in runs]
    assert [(run["status"], run["attempt"]) for run in ended] == [("success", 1)] * 15


def test_a_cancel_reaches_the_worker(caller: Caller) -> None:
    thread = str(make_thread().pk)
    run = create(caller, thread, "sync_code")
    wait_for_entry(run, "beat")
    assert caller.cancel(thread, run)
    assert caller.wait(thread, run)["status"] == "interrupted"
    assert entries(run)[-1].event == "left"


def test_a_killed_worker(stack: Stack, caller: Caller) -> None:
    """Its unacknowledged messages come again at once, and start nothing before the lease has run out."""
    thread = str(make_thread().pk)
    run = create(caller, thread, "neighbour")
    wait_for_entry(run, "start")
    pid = int(Run.objects.get(pk=run).worker.host.rpartition(":")[2])  # type: ignore[union-attr]
    stack.replace(next(worker for worker in stack.workers if worker.pid == pid))
    wait_until(lambda: len(entries(run, "start")) == 2, "the second attempt", PATIENCE_SECONDS)
    open_gate(run)
    ended = caller.wait(thread, run)
    assert (ended["status"], ended["attempt"]) == ("success", 2)
    stack.mend()


def test_rabbitmq_restarts_under_load(rabbit: RabbitMQ, caller: Caller) -> None:
    threads = [str(make_thread().pk) for _ in range(3)]
    runs = []
    for _ in range(rounds(10)):
        runs += [(thread, create(caller, thread)) for thread in threads]
        rabbit.kill()
        runs += [(thread, create(caller, thread)) for thread in threads]
        rabbit.start()
    ended = [caller.wait(*run) for run in runs]
    assert [(run["status"], run["attempt"]) for run in ended] == [("success", 1)] * len(runs)


def test_rabbitmq_stands_still(rabbit: RabbitMQ, caller: Caller) -> None:
    """A run is accepted all the same, and starts when the broker goes on."""
    assert rabbit.process is not None
    thread = str(make_thread().pk)
    with standing_still(*family(rabbit.process.pid)):
        run = create(caller, thread)
        assert caller.read(thread, run)["status"] == "pending"
    assert wait_for_status(Run.objects.get(pk=run).pk, RunStatus.SUCCESS, PATIENCE_SECONDS).attempt == 1
