"""SIGKILL around the transactions of a graph: whatever is killed, every step is in the state once."""

from collections.abc import Iterator
from typing import Any

import pytest

from runs.models import Checkpoint, Run, Thread
from runs.states import RunStatus
from tests.support import crash_points
from tests.support.factories import make_run, make_thread
from tests.support.ledger import open_gate
from tests.support.scale import rounds
from tests.support.stage import head_values, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Whose child dies at the place that is armed."""
    with WorkerProcess(concurrency=1, faults=("mortal",)) as worker:
        yield worker


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """No place stays armed."""
    yield
    crash_points.disarm()


def execute(thread: Thread, graph: str, tag: str) -> Run:
    """A run that waits for nothing, to its end."""
    run = make_run(thread, assistant=graph, kwargs={"input": {"tag": tag, "log": [f"{tag}:in"]}})
    open_gate(run.pk)
    wait_for_status(run.pk, RunStatus.SUCCESS)
    return wait_until_settled(run.pk)


def log(*tags: str) -> list[str]:
    """What the state holds after these runs."""
    return [f"{tag}:{what}" for tag in tags for what in ("in", "first", "work")]


def steps(thread: Thread) -> list[Any]:
    """Those that led to the head, the earliest first."""
    thread.refresh_from_db()
    found, step = [], thread.head
    while step is not None:
        found.append(step.values.get("log"))
        step = step.parent
    return found[::-1]


@pytest.mark.parametrize(
    ("place", "graph", "attempts"),
    [
        ("before a graph's writes", "sync_graph", 2),
        ("inside a graph's writes", "async_graph", 2),
        ("after a graph's writes", "sync_graph", 2),
        ("before the finish", "async_graph", 2),
        ("inside a graph's outcome", "sync_graph", 2),
        ("after the finish", "async_graph", 1),
    ],
)
def test_sigkill(worker: WorkerProcess, place: str, graph: str, attempts: int) -> None:
    for _ in range(rounds(10)):
        thread = make_thread()
        execute(thread, graph, "1")
        died = crash_points.arm(place)
        run = execute(thread, graph, "2")
        died()
        assert (run.attempt, run.crashes) == (attempts, attempts - 1)
        assert (head_values(run) or {})["log"] == log("1", "2")
        assert steps(thread) == [*history("1"), *history("1", "2")]
        assert Checkpoint.objects.filter(thread=thread).count() == len(steps(thread))


def history(*tags: str) -> list[list[str]]:
    """The steps of the last of these runs: what it found, what it was given, what each node has left."""
    whole = log(*tags)
    return [whole[:length] for length in range(len(whole) - 3, len(whole) + 1)]
