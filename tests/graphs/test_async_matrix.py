"""The cells of test_matrix.py in a worker of loop processes."""

from collections.abc import Iterator

import pytest

from tests.graphs import test_matrix as matrix
from tests.support.scale import share
from tests.support.worker import WorkerProcess

STRATEGIES = ("reject", "interrupt", "rollback", "enqueue")
DISPLACED = [
    (kind, fresh, strategy)
    for strategy in ("interrupt", "rollback")
    for fresh in (True, False)
    for kind in matrix.KINDS
]
QUEUED = [(kind, strategy) for strategy in STRATEGIES for kind in matrix.KINDS]

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """One process; a run that does not heed its interruption is soon killed, which these tests would see."""
    runs = {"GRACE_SECONDS": 20.0, "INTERRUPT_EVERY_SECONDS": 0.1, "LOOP_PROCESSES": 1}
    with WorkerProcess(pool="async", concurrency=8, runs=runs) as worker:
        yield worker


@pytest.mark.parametrize(("kind", "fresh", "strategy"), share(DISPLACED))
def test_running_is_displaced(worker: WorkerProcess, kind: str, fresh: bool, strategy: str) -> None:
    """As with prefork."""
    matrix.test_running_is_displaced(worker, kind, fresh, strategy)


@pytest.mark.parametrize("kind", share(matrix.KINDS))
def test_running_and_reject(worker: WorkerProcess, kind: str) -> None:
    """As with prefork."""
    matrix.test_running_and_reject(worker, kind)


@pytest.mark.parametrize("kind", share(matrix.KINDS[::-1]))
def test_running_and_enqueue(worker: WorkerProcess, kind: str) -> None:
    """As with prefork."""
    matrix.test_running_and_enqueue(worker, kind)


@pytest.mark.parametrize(("kind", "strategy"), share(QUEUED))
def test_queued(worker: WorkerProcess, kind: str, strategy: str) -> None:
    """As with prefork."""
    matrix.test_queued(worker, kind, strategy)


@pytest.mark.parametrize(("kind", "strategy"), share(QUEUED[::-1]))
def test_waiting_for_a_human(worker: WorkerProcess, kind: str, strategy: str) -> None:
    """As with prefork."""
    matrix.test_waiting_for_a_human(worker, kind, strategy)


@pytest.mark.parametrize("kind", matrix.KINDS)
def test_interrupted_goes_on_without_input(worker: WorkerProcess, kind: str) -> None:
    """As with prefork."""
    matrix.test_interrupted_goes_on_without_input(worker, kind)


def test_async_node_sees_the_cancellation_at_its_await(worker: WorkerProcess) -> None:
    """As with prefork."""
    matrix.test_async_node_sees_the_cancellation_at_its_await(worker)


@pytest.mark.parametrize("kind", ["sync_graph", "parallel_graph", "mixed_graph"])
def test_sync_node_sees_the_interruption(worker: WorkerProcess, kind: str) -> None:
    """All of them are executed in threads here."""
    matrix.test_sync_node_sees_the_interruption(worker, kind)
