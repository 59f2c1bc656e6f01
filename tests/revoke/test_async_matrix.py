"""The cells of test_matrix.py in a worker of one loop process, where the run beside is executed by the same process."""

from collections.abc import Iterator

import pytest

from tests.revoke import test_matrix as matrix
from tests.support.scale import share
from tests.support.worker import WorkerProcess

RUNNING = [
    (kind, way, duplicate)
    for duplicate in (False, True)
    for way in matrix.WAYS
    for kind in matrix.HEEDING + matrix.DEAF
]

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two runs at a time; takes two messages more than it can execute, so that some are prefetched."""
    runs = {"GRACE_SECONDS": 0.5, "INTERRUPT_EVERY_SECONDS": 0.1, "LOOP_PROCESSES": 1}
    with WorkerProcess(pool="async", concurrency=2, prefetch=2, runs=runs) as worker:
        yield worker


@pytest.mark.parametrize(("kind", "way", "duplicate"), share(RUNNING))
def test_running(worker: WorkerProcess, kind: str, way: str, duplicate: bool) -> None:
    """Two cells are changed: for a blocking call, and for code that ignores the interruption."""
    matrix.test_running(worker, kind, way, duplicate)


@pytest.mark.parametrize("kind", matrix.DEAF)
def test_deaf(worker: WorkerProcess, kind: str) -> None:
    """The changed cells are in every session."""
    matrix.test_running(worker, kind, "cancel", False)


@pytest.mark.parametrize("way", share(list(matrix.WAYS)))
def test_queued(worker: WorkerProcess, way: str) -> None:
    """As with prefork."""
    matrix.test_queued(worker, way)


@pytest.mark.parametrize("way", share(list(matrix.WAYS)))
def test_prefetched(worker: WorkerProcess, way: str) -> None:
    """As with prefork."""
    matrix.test_prefetched(worker, way)
