"""The main process's memory-only half: sees exits, repeats orders, notices deadlines, ends the grace period."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from runs.conf import runs_settings
from runs.execution.exits import Exit, is_same
from runs.execution.interruption import INTERRUPT_SIGNAL
from runs.execution.slots import Execution, Order, SlotTable

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.05


@dataclass
class _Standing:
    """An order that has been given and not been followed yet."""

    execution: Execution
    order: Order
    given_at: float
    repeated_at: float


@dataclass(frozen=True)
class Handlers:
    """What the observer asks for when it has seen something; none of them may block."""

    exited: Callable[[Sequence[Exit]], None]
    overdue: Callable[[Execution], None]
    grace_over: Callable[[Execution, Order], None]
    refused: Callable[[], None]


class Observer:
    """Watches the slots. Never touches the database, so nothing that is slow there delays it."""

    def __init__(self, table: SlotTable, handlers: Handlers) -> None:
        self._table, self._handlers = table, handlers
        self._standing: dict[int, _Standing] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._overdue_at: dict[int, float] = {}
        self._shutdown_at = float("inf")
        self._thread = threading.Thread(target=self._work, name="runs-observer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, after a last look: the end of the pool is often the end of an attempt."""
        self._stopped.set()
        self._thread.join(1.0)
        self._look()

    def shut_down_at(self, when: float) -> None:
        """From this `time.monotonic()` on every attempt is told to leave, for another worker to take it."""
        self._shutdown_at = when

    def interrupt(self, run_id: UUID, attempt: int, order: Order) -> bool:
        """Order the attempt to stop; False if no child here executes it."""
        found = False
        for execution in self._table.find(run_id):
            if execution.attempt in (0, attempt):  # 0: its claim is committed but not written to the slot yet
                self._give(execution, attempt, order)
                found = True
        return found

    def interrupt_all(self, order: Order) -> None:
        """Order every attempt of this worker to stop."""
        for execution in self._table.executions():
            if execution.attempt:
                self._give(execution, execution.attempt, order)

    def _give(self, execution: Execution, attempt: int, order: Order) -> None:
        """Locked, so that a late order for an attempt that has left does not replace one for its successor."""
        slot, now = self._table.slots[execution.index], time.monotonic()
        with self._lock:
            if not _same(slot.execution(), execution):
                return
            slot.order(execution.run_id, attempt, order)
            if _same(self._executed(execution.index), execution):
                return
            self._standing[execution.index] = _Standing(execution, order, now, now)
        _signal(execution)

    def _executed(self, index: int) -> Execution | None:
        """What the standing order of this slot was given to."""
        standing = self._standing.get(index)
        return None if standing is None else standing.execution

    def _work(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            self._look()

    def _look(self) -> None:
        try:
            self._tick(time.monotonic())
        except Exception:
            logger.exception("the observer stumbled; it goes on")

    def _tick(self, now: float) -> None:
        if now >= self._shutdown_at:
            self.interrupt_all(Order.SHUTDOWN)
        executions = list(self._table.executions())
        exited = {pid for pid in {execution.pid for execution in executions} if _has_exited(pid)}
        for pid in exited:
            # Read again: what a process has written last was written before it exited.
            self._note_exit([one for one in self._table.executions() if one.pid == pid])
        for execution in executions:
            if execution.pid not in exited:
                self._note_what_it_says(execution, now)
        with self._lock:
            standing = list(self._standing.values())
        for order in standing:
            self._follow_up(order, now)

    def _note_what_it_says(self, execution: Execution, now: float) -> None:
        if execution.terminated:
            self._give(execution, execution.attempt, Order.SHUTDOWN)
        if execution.refused:
            self._handlers.refused()
        if now >= execution.deadline:
            self._note_overdue(execution, now)

    def _note_overdue(self, execution: Execution, now: float) -> None:
        """Once a second: until its row says so and the attempt has left."""
        if now - self._overdue_at.get(execution.index, 0.0) >= runs_settings().INTERRUPT_EVERY_SECONDS:
            self._overdue_at[execution.index] = now
            self._handlers.overdue(execution)

    def _note_exit(self, executions: Sequence[Execution]) -> None:
        """A process has exited with these."""
        exits = [Exit(execution, self._take_order(execution)) for execution in executions]
        for execution in executions:
            self._table.slots[execution.index].vacate_for(execution.pid)
        self._handlers.exited(exits)

    def _take_order(self, execution: Execution) -> Order | None:
        with self._lock:
            standing = self._standing.pop(execution.index, None)
        return standing.order if standing is not None and _same(standing.execution, execution) else None

    def _follow_up(self, standing: _Standing, now: float) -> None:
        execution = self._table.slots[standing.execution.index].execution()
        if execution is None or not _same(execution, standing.execution):
            with self._lock:
                if self._standing.get(standing.execution.index) is standing:
                    del self._standing[standing.execution.index]
            return
        settings = runs_settings()
        if now - standing.repeated_at < settings.INTERRUPT_EVERY_SECONDS:
            return
        standing.repeated_at = now
        if now - standing.given_at >= settings.GRACE_SECONDS:
            self._handlers.grace_over(execution, standing.order)
        else:
            _signal(execution)


def _same(one: Execution | None, other: Execution) -> bool:
    return one is not None and is_same(one, other)


def _signal(execution: Execution) -> None:
    with contextlib.suppress(ProcessLookupError):  # its exit is about to be observed
        os.kill(execution.pid, INTERRUPT_SIGNAL)


def _has_exited(pid: int) -> bool:
    """Whether our child has exited, without reaping it: that is the pool's business."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
