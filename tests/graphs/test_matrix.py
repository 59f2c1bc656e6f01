"""The four strategies, whatever the thread is at and however the graph spends its time.

The state must be exactly what the strategy says, and no node may be alive when its run is settled.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from runs.errors import ThreadBusy
from runs.models import Run, Thread
from runs.states import RunStatus
from tests.support.factories import create, make_run, make_thread
from tests.support.ledger import entries, open_gate, wait_for_entry
from tests.support.stage import settlement, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

KINDS = ("sync_graph", "async_graph", "parallel_graph", "mixed_graph")

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children; a run that does not heed its interruption is soon killed, which these tests would see."""
    with WorkerProcess(concurrency=2, runs={"GRACE_SECONDS": 20.0, "INTERRUPT_EVERY_SECONDS": 0.1}) as worker:
        yield worker


def begin(kind: str, thread: Thread, tag: str) -> Run:
    """A run in the middle of its second step."""
    run = make_run(thread, assistant=kind, kwargs={"input": {"tag": tag}})
    wait_for_entry(run.pk, "start work")
    return run


def finish(run: Run) -> Run:
    """Let the run go to its end."""
    open_gate(run.pk)
    return wait_for_status(run.pk, RunStatus.SUCCESS)


def steps(kind: str, tag: str) -> list[str]:
    """What a whole run adds to the log."""
    last = ["beside", "work"] if kind == "parallel_graph" else ["work"]
    return [f"{tag}:{name}" for name in ("first", *last)]


def log_of(thread: Thread) -> list[str]:
    """The log in the thread's state; siblings in the order of their names."""
    thread.refresh_from_db()
    log: list[str] = [] if thread.head is None else thread.head.values["log"]
    return sorted(log, key=lambda one: (one[0], not one.endswith("first"), one))


def with_history(kind: str) -> tuple[Thread, list[str]]:
    """A thread on which a run has succeeded before."""
    thread = make_thread()
    finish(begin(kind, thread, "0"))
    return thread, steps(kind, "0")


def assert_no_node_outlives(run: Run) -> None:
    """Every node that began has left, and nothing was done after the run was settled."""
    done = entries(run.pk)
    begun = [one.event.removeprefix("start ") for one in done if one.event.startswith("start ")]
    left = [one.event.removeprefix("left ") for one in done if one.event.startswith("left ")]
    assert sorted(begun) == sorted(left)
    if done:
        assert done[-1].time <= settlement(run).at


def displace(thread: Thread, kind: str, strategy: str, tag: str) -> Run:
    """A run with this strategy that will not wait at its gate."""
    run = create(thread, strategy, assistant=kind, kwargs={"input": {"tag": tag}}).run
    open_gate(run.pk)
    return run


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fresh", [True, False], ids=["first run", "after another"])
@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_running_is_displaced(worker: WorkerProcess, kind: str, fresh: bool, strategy: str) -> None:
    """Interrupt keeps the finished steps, rollback none of them."""
    thread, before = (make_thread(), []) if fresh else with_history(kind)
    old = begin(kind, thread, "1")
    new = displace(thread, kind, strategy, "2")
    wait_for_status(new.pk, RunStatus.SUCCESS)
    wait_until_settled(old.pk)
    kept = ["1:first"] if strategy == "interrupt" else []
    assert log_of(thread) == [*before, *kept, *steps(kind, "2")]
    old.refresh_from_db()
    assert (old.status, old.rolled_back_at is not None) == (RunStatus.INTERRUPTED, strategy == "rollback")
    assert old.attempt == 1
    assert_no_node_outlives(old)


@pytest.mark.parametrize("kind", KINDS)
def test_running_and_reject(worker: WorkerProcess, kind: str) -> None:
    """The new run is refused, the old one does not notice."""
    thread = make_thread()
    old = begin(kind, thread, "1")
    with pytest.raises(ThreadBusy):
        displace(thread, kind, "reject", "2")
    finish(old)
    wait_until_settled(old.pk)
    assert log_of(thread) == steps(kind, "1")
    assert_no_node_outlives(old)


@pytest.mark.parametrize("kind", KINDS)
def test_running_and_enqueue(worker: WorkerProcess, kind: str) -> None:
    """The new run starts from what the old one ends with."""
    thread = make_thread()
    old = begin(kind, thread, "1")
    new = displace(thread, kind, "enqueue", "2")
    finish(old)
    wait_for_status(new.pk, RunStatus.SUCCESS)
    assert log_of(thread) == [*steps(kind, "1"), *steps(kind, "2")]
    assert_no_node_outlives(old)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["reject", "interrupt", "rollback", "enqueue"])
def test_queued(worker: WorkerProcess, kind: str, strategy: str) -> None:
    """A run that waits behind another is displaced with it, or waits on."""
    thread = make_thread()
    running = begin(kind, thread, "1")
    queued = displace(thread, kind, "enqueue", "2")
    if strategy == "reject":
        with pytest.raises(ThreadBusy):
            displace(thread, kind, strategy, "3")
    else:
        last = displace(thread, kind, strategy, "3")
    if strategy in ("reject", "enqueue"):
        finish(running)
    for run in (running, queued, *([] if strategy == "reject" else [last])):
        wait_until_settled(run.pk)
    expected = {
        "reject": [*steps(kind, "1"), *steps(kind, "2")],
        "enqueue": [*steps(kind, "1"), *steps(kind, "2"), *steps(kind, "3")],
        "interrupt": ["1:first", *steps(kind, "3")],
        "rollback": steps(kind, "3"),
    }
    assert log_of(thread) == expected[strategy]
    for run in (running, queued):
        assert_no_node_outlives(run)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["reject", "interrupt", "rollback", "enqueue"])
def test_waiting_for_a_human(worker: WorkerProcess, kind: str, strategy: str) -> None:
    """Nothing is in flight: every strategy admits, and a new input starts over on what there is."""
    thread = make_thread()
    asking = make_run(thread, assistant=kind, kwargs={"input": {"tag": "1"}, "interrupt_before": ["work"]})
    wait_for_status(asking.pk, RunStatus.SUCCESS)
    thread.refresh_from_db()
    assert thread.status == "interrupted"
    new = displace(thread, kind, strategy, "2")
    wait_for_status(new.pk, RunStatus.SUCCESS)
    assert log_of(thread) == ["1:first", *steps(kind, "2")]
    thread.refresh_from_db()
    assert thread.status == "idle"


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_goes_on_without_input(worker: WorkerProcess, kind: str) -> None:
    """`input: null` executes what the interrupted run had left, and nothing twice."""
    thread = make_thread()
    old = begin(kind, thread, "1")
    cancel(old)
    wait_until_settled(old.pk)
    thread.refresh_from_db()
    assert thread.status == "interrupted"
    again = make_run(thread, assistant=kind, kwargs={"input": None})
    finish(again)
    assert log_of(thread) == steps(kind, "1")
    assert "start first" not in [one.event for one in entries(again.pk)]


def test_async_node_sees_the_cancellation_at_its_await(worker: WorkerProcess) -> None:
    """As any task that is cancelled. One that the signal finds executing sees the interruption itself."""
    old = begin("resting_graph", make_thread(), "1")
    cancel(old)
    wait_until_settled(old.pk)
    assert "CancelledError in work" in [one.event for one in entries(old.pk)]


@pytest.mark.parametrize("kind", ["sync_graph", "parallel_graph", "mixed_graph"])
def test_sync_node_sees_the_interruption(worker: WorkerProcess, kind: str) -> None:
    """Wherever it is executed."""
    old = begin(kind, make_thread(), "1")
    cancel(old)
    wait_until_settled(old.pk)
    assert "RunCancelled in work" in [one.event for one in entries(old.pk)]


def cancel(run: Run, **options: Any) -> None:
    """From outside."""
    from runs.actors import Actor
    from runs.services.cancel import cancel_run

    cancel_run(run_id=run.pk, actor=Actor("operator"), **options)
