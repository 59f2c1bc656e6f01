"""What graphs remember across threads."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections

from runs.actors import Actor
from runs.assistants.graphs.project import GraphProject
from runs.execution.graphs.scribe import scribe
from runs.execution.graphs.store import FencedStore
from runs.models import Run, Thread
from runs.services.cancel import cancel_run
from runs.services.graph_rows import remove_expired_items
from runs.states import CancelAction, RunStatus
from tests.support.factories import make_run, make_thread
from tests.support.ledger import wait_for_entry
from tests.support.stage import wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children."""
    with WorkerProcess(concurrency=2, runs={"INTERRUPT_EVERY_SECONDS": 0.1}) as worker:
        yield worker


@pytest.fixture
def tag() -> str:
    """A namespace of the test's own: what is stored outlives it."""
    return str(uuid4())


def execute(graph: str, tag: str, thread: Thread | None = None) -> Any:
    """What the run has logged."""
    run = make_run(thread or make_thread(), assistant=graph, kwargs={"input": {"tag": tag, "log": []}})
    wait_until_settled(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (RunStatus.SUCCESS, None)
    return Thread.objects.select_related("head").get(pk=run.thread_id).head.values["log"]  # type: ignore[union-attr]


def stored(tag: str) -> list[str]:
    """The keys in the namespaces of the test."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM store WHERE prefix LIKE %s ORDER BY key", [f"%.{tag}"])
        return [key for (key,) in cursor.fetchall()]


@pytest.mark.parametrize("graph", ["remembering", "remembering_async"])
def test_across_threads(worker: WorkerProcess, graph: str, tag: str) -> None:
    """One store for all threads and processes, whatever the graph was compiled with."""
    assert [execute(graph, tag), execute(graph, tag), execute(graph, tag)] == [["1 of 1"], ["2 of 1"], ["3 of 1"]]
    assert execute(graph, str(uuid4())) == ["1 of 1"]


def test_a_factory_reads_it(worker: WorkerProcess) -> None:
    """Its runtime has the same store."""
    before = int(execute("remembering_factory", "any")[0])
    execute("remembering", "factory")
    assert execute("remembering_factory", "any") == [str(before + 1)]


def begin(tag: str) -> Run:
    """A run that clings to its store."""
    run = make_run(make_thread(), assistant="persisting", kwargs={"input": {"tag": tag}})
    wait_for_entry(run.pk, "start work")
    return run


def roll_back(run: Run) -> None:
    """Cancel the run and undo what it has done."""
    cancel_run(run_id=run.pk, actor=Actor("operator"), action=CancelAction.ROLLBACK)
    wait_until_settled(run.pk)


def test_a_stopped_attempt_writes_nothing(worker: WorkerProcess, tag: str) -> None:
    """But a rollback does not take back what was stored before: it is an effect outside."""
    roll_back(begin(tag))
    assert stored(tag) == ["before"]


def test_a_stopped_attempt_writes_without_the_fence(worker: WorkerProcess, tag: str) -> None:
    """Negative control: the database would take it."""
    with worker.not_consuming(), WorkerProcess(concurrency=1, faults=("unfenced_store",)):
        roll_back(begin(tag))
    assert stored(tag) == ["after", "before"]


def test_what_is_stored_for_a_time(db: None, tag: str) -> None:
    """When it is over nobody sees it any more, and the scheduler removes it."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(
            "INSERT INTO store (prefix, key, value, expires_at) VALUES"
            " (%(one)s, 'over', '{}', now() - interval '1 second'),"
            " (%(one)s, 'not yet', '{}', now() + interval '1 hour')",
            {"one": f"any.{tag}"},
        )
    project = GraphProject(file=Path("langgraph.json"), store_ttl={"default_ttl": 60})
    host: Any = SimpleNamespace(persist=lambda job: job())
    store = FencedStore(Run(), project, host)
    try:
        assert [item.key for item in store.search(("any", tag))] == ["not yet"]
        assert store.get(("any", tag), "over") is None
    finally:
        scribe.do(connections.close_all)  # those of its thread
    assert remove_expired_items() == 1
    assert stored(tag) == ["not yet"]
    assert remove_expired_items() == 0
