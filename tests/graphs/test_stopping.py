"""A graph that was cancelled and is still tidying up: whoever comes next is admitted, waits, and is not disturbed."""

from collections.abc import Iterator

import pytest

from runs.actors import system
from runs.models import Run, Thread
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.factories import create, make_run, make_thread
from tests.support.ledger import entries, events, open_gate, wait_for_entry
from tests.support.stage import head_values, settlement, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

KINDS = ("stubborn_graph", "async_stubborn_graph")

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children, of which one is free for whoever comes next."""
    with WorkerProcess(concurrency=2, runs={"GRACE_SECONDS": 20.0, "INTERRUPT_EVERY_SECONDS": 0.1}) as worker:
        yield worker


def stopping(kind: str, thread: Thread) -> Run:
    """A run that was cancelled in its second step and has not left."""
    run = make_run(thread, assistant=kind, kwargs={"input": {"tag": "old"}})
    wait_for_entry(run.pk, "start work")
    cancel_run(run_id=run.pk, actor=system("tests"))
    wait_for_entry(run.pk, "tidying up")
    return run


def assert_left_undisturbed(run: Run) -> None:
    """It was interrupted once, and left by itself; nothing was done for it after it was settled."""
    assert events(run.pk) == ["start first", "left first", "start work", "tidying up", "left work"]
    assert entries(run.pk)[-1].time <= settlement(run).at


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["reject", "enqueue", "interrupt", "rollback"])
def test_the_next_run_is_admitted_and_waits(worker: WorkerProcess, kind: str, strategy: str) -> None:
    """It begins when the other has left, from the state as the cancel left it: what came too late is not in it."""
    old = stopping(kind, make_thread())
    created = create(old.thread, strategy, assistant="sync_graph", kwargs={"input": {"tag": "new"}})
    new = created.run
    open_gate(new.pk)
    assert (created.displaced, new.status, entries(new.pk)) == ([], RunStatus.PENDING, [])
    open_gate(old.pk)
    wait_for_status(new.pk, RunStatus.SUCCESS)
    assert_left_undisturbed(old)
    assert entries(new.pk)[0].time >= settlement(wait_until_settled(old.pk)).at
    assert head_values(new)["log"] == ["old:first", "new:first", "new:work"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_waits_behind_it_is_cancelled(worker: WorkerProcess, kind: str) -> None:
    """At once; it never begins, and the other goes on tidying up."""
    old = stopping(kind, make_thread())
    waiting = create(old.thread, "enqueue", assistant="sync_graph", kwargs={"input": {"tag": "new"}}).run
    cancel_run(run_id=waiting.pk, actor=system("tests"))
    waiting.refresh_from_db()
    old.refresh_from_db()
    assert (waiting.status, waiting.attempt, old.leased) == (RunStatus.INTERRUPTED, 0, True)
    open_gate(old.pk)
    wait_until_settled(old.pk)
    assert_left_undisturbed(old)
    assert entries(waiting.pk) == []
    assert head_values(old)["log"] == ["old:first"]
