"""Graphs executed by a real worker."""

from collections.abc import Iterator
from typing import Any

import pytest

from runs.models import Run, Thread
from runs.states import RunStatus, ThreadStatus
from tests.support.factories import make_run, make_thread
from tests.support.stage import wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children."""
    with WorkerProcess(concurrency=2) as worker:
        yield worker


def execute(graph: str, given: Any = None, thread: Thread | None = None, **kwargs: Any) -> Run:
    """The run, settled."""
    run = make_run(thread or make_thread(), assistant=graph, kwargs={"input": given, **kwargs})
    wait_until_settled(run.pk)
    run.refresh_from_db()
    return run


def state_of(run: Run) -> Any:
    """The thread's head."""
    thread = Thread.objects.select_related("head").get(pk=run.thread_id)
    return thread.head


@pytest.mark.parametrize(
    ("graph", "given", "values"),
    [
        ("echo", {"text": "hi"}, {"text": "hi", "log": ["echo hi"]}),
        ("slow", {"n": 2, "tag": "A"}, {"n": 2, "tag": "A", "log": ["A:0", "A:1"]}),
        ("parent", {"log": ["in"]}, {"log": ["in", "before"], "inner": ["child"]}),
        ("parallel", {"log": ["in"]}, {"log": ["in", "a", "b"]}),
        ("async_factory", {"log": []}, {"log": ["async"]}),
        ("managed_factory", {"log": []}, {"log": ["managed"]}),
    ],
)
def test_success(worker: WorkerProcess, graph: str, given: Any, values: Any) -> None:
    """Every kind of graph ends with the state it should."""
    run = execute(graph, given)
    assert run.error is None
    assert run.status == RunStatus.SUCCESS
    assert state_of(run).values == values
    assert state_of(run).next == []
    assert Thread.objects.get(pk=run.thread_id).status == ThreadStatus.IDLE
