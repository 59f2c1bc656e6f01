"""The main process's watch over its children, with real forked ones."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from runs.execution.exits import Exit
from runs.execution.interruption import INTERRUPT_SIGNAL
from runs.execution.observer import Handlers, Observer
from runs.execution.slots import Execution, Order, SlotTable

PATIENCE_SECONDS = 10.0


class Watched:
    """An observer, what it reports, and children that write down the signals they get."""

    def __init__(self) -> None:
        self.table = SlotTable()
        self.exited: SimpleQueue[Sequence[Exit]] = SimpleQueue()
        self.overdue: SimpleQueue[Execution] = SimpleQueue()
        self.grace_over: SimpleQueue[tuple[Execution, Order]] = SimpleQueue()
        self.refused = threading.Event()
        handlers = Handlers(
            exited=self.exited.put,
            overdue=self.overdue.put,
            grace_over=lambda *seen: self.grace_over.put(seen),
            refused=self.refused.set,
        )
        self.observer = Observer(self.table, handlers)

    @contextmanager
    def child(self, index: int = 0, *, seconds: float = 3600.0) -> Iterator["Child"]:
        """A child that executes attempt 1 of a run until it is killed."""
        child = Child(self.table, index, seconds)
        try:
            yield child
        finally:
            child.kill()


class Child:
    """A forked process that does nothing but to answer each interruption."""

    def __init__(self, table: SlotTable, index: int, seconds: float) -> None:
        self.run_id = uuid4()
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _answer_signals(table, index, self.run_id, seconds, writer)
        os.close(writer)
        assert os.read(self._reader, 1) == b"r"
        self.alive = True

    def wait_for_signal(self) -> None:
        """Return when the next interruption has arrived."""
        assert os.read(self._reader, 1) == b"s"

    def kill(self) -> None:
        """End it."""
        if self.alive:
            self.alive = False
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._reader)


def _answer_signals(table: SlotTable, index: int, run_id: UUID, seconds: float, writer: int) -> None:
    signal.signal(INTERRUPT_SIGNAL, lambda *_: os.write(writer, b"s"))
    table.slots[index].begin(os.getpid(), run_id, 1, time.monotonic() + seconds)
    os.write(writer, b"r")
    while True:
        time.sleep(PATIENCE_SECONDS)


@pytest.fixture
def watched(settings: Settings) -> Iterator[Watched]:
    """Orders are repeated soon, and the grace is short."""
    settings.RUNS = {**settings.RUNS, "INTERRUPT_EVERY_SECONDS": 0.05, "GRACE_SECONDS": 0.3}
    watched = Watched()
    watched.observer.start()
    yield watched
    watched.observer.stop()


def test_exit_is_seen_and_the_slot_is_free(watched: Watched) -> None:
    """Without reaping the child: that is the pool's business."""
    with watched.child() as child:
        os.kill(child.pid, signal.SIGKILL)
        (seen,) = watched.exited.get(timeout=PATIENCE_SECONDS)
        execution, order = seen.execution, seen.order
        assert (execution.pid, execution.run_id, execution.attempt, order) == (child.pid, child.run_id, 1, None)
        assert list(watched.table.executions()) == []


def test_order_is_in_the_slot_and_repeated_until_the_grace_is_over(watched: Watched) -> None:
    """A signal may come where it does nothing."""
    with watched.child() as child:
        assert watched.observer.interrupt(child.run_id, 1, Order.TIMED_OUT)
        assert watched.table.slots[0].order_for(child.run_id, 1) == Order.TIMED_OUT
        for _ in range(3):
            child.wait_for_signal()
        execution, order = watched.grace_over.get(timeout=PATIENCE_SECONDS)
        assert (execution.pid, order) == (child.pid, Order.TIMED_OUT)


def test_exit_after_an_order_says_which(watched: Watched) -> None:
    """So that a shutdown is not taken for a crash."""
    with watched.child() as child:
        watched.observer.interrupt(child.run_id, 1, Order.SHUTDOWN)
        os.kill(child.pid, signal.SIGKILL)
        assert [seen.order for seen in watched.exited.get(timeout=PATIENCE_SECONDS)] == [Order.SHUTDOWN]


def test_order_for_what_is_not_executed_here(watched: Watched) -> None:
    """Another run, or another attempt of the same."""
    with watched.child() as child:
        assert not watched.observer.interrupt(uuid4(), 1, Order.CANCELLED)
        assert not watched.observer.interrupt(child.run_id, 2, Order.CANCELLED)
        assert watched.table.slots[0].order_for(child.run_id, 2) is None


def test_order_ends_with_its_attempt(watched: Watched) -> None:
    """The next attempt of the same child is left alone."""
    with watched.child() as child:
        watched.observer.interrupt(child.run_id, 1, Order.CANCELLED)
        watched.table.slots[0].begin(child.pid, uuid4(), 1, time.monotonic() + 3600)
        watched.observer.stop()  # after a last look
        assert watched.grace_over.empty()
        assert not watched.observer._standing


def test_deadline(watched: Watched) -> None:
    """The database has the last word, so this is reported until it has spoken."""
    with watched.child(seconds=0.0) as child:
        assert watched.overdue.get(timeout=PATIENCE_SECONDS).run_id == child.run_id
        assert watched.overdue.get(timeout=PATIENCE_SECONDS).run_id == child.run_id


def test_terminated_child_is_ordered_to_leave(watched: Watched) -> None:
    """It had the signal already; from now on it has a grace."""
    with watched.child() as child:
        watched.table.slots[0].note_termination()
        child.wait_for_signal()
        assert watched.grace_over.get(timeout=PATIENCE_SECONDS)[1] == Order.SHUTDOWN


def test_refused_claim_is_reported(watched: Watched) -> None:
    """Nobody is told to leave for it."""
    with watched.child():
        watched.table.slots[0].note_refusal()
        assert watched.refused.wait(PATIENCE_SECONDS)
        assert watched.grace_over.empty()


def test_shutdown_orders_every_attempt(watched: Watched) -> None:
    """At the time that was set."""
    with watched.child(0) as one, watched.child(1) as other:
        watched.observer.shut_down_at(time.monotonic() + 0.05)
        one.wait_for_signal()
        other.wait_for_signal()
        orders = [watched.table.slots[index].order_for(child.run_id, 1) for index, child in enumerate((one, other))]
        assert orders == [Order.SHUTDOWN, Order.SHUTDOWN]
