"""Cancellation by revoke: whatever a run is at, and whoever stops it by whatever means.

The row alone proves nothing. The ledger must have stopped, the process must have left the run or be dead, the run
beside it must not have noticed, and the thread must go on.
"""

from collections.abc import Callable, Iterator

import pytest
from celery import current_app

from runs.actors import Actor
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.states import RunStatus
from tests.support.assistants import ANSWER, is_alive
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, events, open_gate, wait_for_entry, wait_until
from tests.support.stage import head_values, queued_messages, settlement, wait_for_status, wait_until_settled
from tests.support.worker import WorkerProcess

QUICKLY = 1.0  # seconds from settlement to the successor's start: promised

WAYS: dict[str, tuple[str, Callable[[Run], object]]] = {
    "cancel": ("operator", lambda run: cancel_run(run_id=run.pk, actor=Actor("operator"))),
    "revoke": ("remote control", lambda run: current_app.control.revoke(str(run.pk))),
    "SIGTERM": (
        "remote control",
        lambda run: current_app.control.revoke(str(run.pk), terminate=True, signal="SIGTERM"),
    ),
    "SIGKILL": (
        "remote control",
        lambda run: current_app.control.revoke(str(run.pk), terminate=True, signal="SIGKILL"),
    ),
}
HEEDING = ("sync_code", "async_code", "thread_code", "exiting")
DEAF = ("c_call", "stubborn")

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """Two children; takes two messages more than it can execute, so that some are prefetched."""
    with WorkerProcess(
        concurrency=2, prefetch=2, runs={"GRACE_SECONDS": 0.5, "INTERRUPT_EVERY_SECONDS": 0.1}
    ) as worker:
        yield worker


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", HEEDING + DEAF)
@pytest.mark.parametrize("duplicate", [False, True], ids=["", "duplicate"])
def test_running(worker: WorkerProcess, kind: str, way: str, duplicate: bool) -> None:
    """A run in the middle of its work stops, and is settled only when it really has.

    In two rows the run beside it loses its process, if it has the same one: for a blocking call, and for code that
    ignores the interruption.
    """
    victim = make_run(make_thread(), assistant=kind)
    pid = wait_for_entry(victim.pk, "start").pid
    if duplicate:
        consume_duplicate(victim)
    beside = make_run(make_thread(), assistant="neighbour")
    wait_for_entry(beside.pk, "start")
    successor = make_run(victim.thread, assistant="prompt", kwargs={"input": {"after": str(victim.pk)}})

    actor, stop = WAYS[way]
    stop(victim)

    wait_until_settled(victim.pk)
    assert_interrupted_by(actor, victim, began=True)
    if way == "SIGKILL" and kind in HEEDING:
        assert not is_alive(pid) or has_left(victim)  # the interruption may have been faster than the kill
    else:
        assert_process_is_done_with(victim, pid, dead=kind in DEAF)
    assert_goes_on_with(successor, victim)
    if worker.pool == "async" and not is_alive(pid):
        assert_replaced(beside, pid)
    else:
        assert_undisturbed(beside)
    assert_silent_since_settlement(victim)


@pytest.mark.parametrize("way", WAYS)
def test_queued(worker: WorkerProcess, way: str) -> None:
    """A run whose message nobody has taken never begins."""
    beside = make_run(make_thread(), assistant="neighbour")
    wait_for_entry(beside.pk, "start")
    actor, stop = WAYS[way]
    with worker.not_consuming():
        victim = make_run(make_thread(), assistant="sync_code")
        wait_until(lambda: queued_messages() == 1, "the message to be back from a worker that had asked for one")
        successor = make_run(victim.thread, assistant="prompt", kwargs={"input": {"after": str(victim.pk)}})
        stop(victim)
        wait_until_settled(victim.pk)

    assert_interrupted_by(actor, victim, began=False)
    assert_goes_on_with(successor, victim)
    assert_undisturbed(beside)
    assert events(victim.pk) == []


@pytest.mark.parametrize("way", WAYS)
def test_prefetched(worker: WorkerProcess, way: str) -> None:
    """A run whose message the worker has taken but not begun never begins."""
    beside, blocker = (make_run(make_thread(), assistant="neighbour") for _ in range(2))
    wait_for_entry(beside.pk, "start")
    wait_for_entry(blocker.pk, "start")
    victim = make_run(make_thread(), assistant="sync_code")
    wait_until(lambda: victim.pk.hex in reserved(worker), "the run to be prefetched")
    successor = make_run(victim.thread, assistant="prompt", kwargs={"input": {"after": str(victim.pk)}})

    actor, stop = WAYS[way]
    stop(victim)
    wait_until_settled(victim.pk)
    open_gate(blocker.pk)

    assert_interrupted_by(actor, victim, began=False)
    assert_goes_on_with(successor, victim)
    assert_undisturbed(blocker)
    assert_undisturbed(beside)
    assert events(victim.pk) == []


def consume_duplicate(run: Run) -> None:
    """Let the same worker consume the run's message again. It loses its claim, and takes Celery's own entry with it."""
    current_app.send_task("runs.execute_run", args=(str(run.pk),), task_id=str(run.pk), ignore_result=True)
    wait_until(lambda: not known_to_celery(run), "the duplicate to be consumed")


def known_to_celery(run: Run) -> bool:
    """Whether Celery itself could terminate the run."""
    known = current_app.control.inspect(timeout=1.0, limit=1).query_task(str(run.pk)) or {}
    return any(known.values())


def reserved(worker: WorkerProcess) -> set[str]:
    """Ids, in hexadecimal, of the tasks that the worker has taken and not begun."""
    answer = current_app.control.inspect([worker.name], timeout=1.0, limit=1).reserved() or {}
    return {task["id"].replace("-", "") for tasks in answer.values() for task in tasks}


def assert_interrupted_by(actor: str, run: Run, *, began: bool) -> None:
    """The row and its history say who stopped it, once."""
    run.refresh_from_db()
    assert (run.status, run.leased, run.cancelled_by) == (RunStatus.INTERRUPTED, False, actor)
    history = list(run.events.values_list("from_status", "to_status", "actor"))
    if began:
        assert history[1:] == [
            ("pending", "running", "system/worker"),
            ("running", "interrupted", actor),
            ("interrupted", "interrupted", "system/worker"),
        ]
    else:
        assert history[1:] == [("pending", "interrupted", actor)]


def assert_process_is_done_with(run: Run, pid: int, *, dead: bool) -> None:
    """The process is dead, or every part of the assistant that had entered has left."""
    if dead:
        assert not is_alive(pid)
    else:
        assert has_left(run)
        assert is_alive(pid)


def has_left(run: Run) -> bool:
    """Whether every part of the assistant that had entered has left."""
    return len(entries(run.pk, "left")) == len(entries(run.pk, "start"))


def assert_goes_on_with(successor: Run, victim: Run) -> None:
    """The next run of the thread starts at once, after the end of the former, and succeeds."""
    ended = settlement(victim).at
    successor = wait_for_status(successor.pk, RunStatus.SUCCESS)
    start = wait_for_entry(successor.pk, "start")
    assert start.time > ended
    assert successor.started_at is not None
    assert 0 <= (successor.started_at - ended).total_seconds() <= QUICKLY
    if start.what["alive"]:  # then it had left before
        assert len(entries(victim.pk, "left")) == len(entries(victim.pk, "start"))
    assert (successor.attempt, head_values(successor)) == (1, ANSWER)


def assert_undisturbed(beside: Run) -> None:
    """The run in the other child ends as if nothing had happened, in the process in which it started."""
    open_gate(beside.pk)
    beside = wait_for_status(beside.pk, RunStatus.SUCCESS)
    assert (beside.attempt, beside.crashes, head_values(beside)) == (1, 0, ANSWER)
    assert events(beside.pk) == ["start", "left"]
    assert len({entry.pid for entry in entries(beside.pk)}) == 1


def assert_replaced(beside: Run, pid: int) -> None:
    """The run that was executed by the process that was killed ends as if nothing had happened, in another one."""
    open_gate(beside.pk)
    beside = wait_for_status(beside.pk, RunStatus.SUCCESS)
    assert (beside.attempt, beside.crashes, head_values(beside)) == (2, 0, ANSWER)
    assert events(beside.pk) == ["start", "start", "left"]
    assert [entry.pid == pid for entry in entries(beside.pk, "start")] == [True, False]
    assert beside.events.filter(reason__startswith="neighbour").count() == 1


def assert_silent_since_settlement(run: Run) -> None:
    """Not one more effect once the run was said to be over."""
    assert entries(run.pk)[-1].time <= settlement(run).at
