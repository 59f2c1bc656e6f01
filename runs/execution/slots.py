"""Shared memory between a worker's main process and its pool children: no I/O, so a signal handler can read it.

Each child has one slot. It says which attempt it executes; the main process writes the order to stop into it. Every
field has one writer, and the byte that makes the others count is written last.
"""

import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

MAX_SLOTS = 1024
_NIL = UUID(int=0)


class Order(IntEnum):
    """Why an attempt must stop."""

    CANCELLED = 1
    TIMED_OUT = 2
    SHUTDOWN = 3
    FENCED = 4


class _State(IntEnum):
    EMPTY = 0
    CLAIMING = 1
    EXECUTING = 2
    TERMINATED = 3
    LEFTOVERS = 4
    REFUSED = 5


@dataclass(frozen=True)
class Execution:
    """What a slot says: this process executes this attempt (0: it is about to claim the run)."""

    index: int
    pid: int
    run_id: UUID
    attempt: int
    #: `time.monotonic()` at which the attempt is overdue.
    deadline: float
    #: Somebody asked the process to end: it hands the attempt back as soon as that has left.
    terminated: bool = False
    #: The process ends because this attempt has left something behind that does not end.
    leftovers: bool = False
    #: Its claim was refused: the worker is drained, and whoever stops its consumption may not know yet.
    refused: bool = False


class _Struct:
    """A struct at a fixed place of the shared memory."""

    def __init__(self, memory: mmap.mmap, offset: int, layout: str) -> None:
        self._memory, self._offset, self._struct = memory, offset, struct.Struct(layout)

    def write(self, *values: object) -> None:
        self._struct.pack_into(self._memory, self._offset, *values)

    def read(self) -> tuple[int | float | bytes, ...]:
        return self._struct.unpack_from(self._memory, self._offset)


class SlotTable:
    """The shared memory of one worker; made by the main process before it forks its pool."""

    _HEADER = 64
    _SLOT = 128

    def __init__(self) -> None:
        # The states stand together, so that looking for those that count is looking at one piece of memory.
        self._memory = mmap.mmap(-1, self._HEADER + MAX_SLOTS * (1 + self._SLOT))
        self._lease = _Struct(self._memory, 0, "=d")
        self._shutting_down = _Struct(self._memory, 8, "=B")
        self._paused = _Struct(self._memory, 9, "=B")
        self._worker = _Struct(self._memory, 16, "=16s")
        self.slots = [self._slot(index) for index in range(MAX_SLOTS)]

    def _slot(self, index: int) -> "Slot":
        state = _Struct(self._memory, self._HEADER + index, "=B")
        return Slot(self, index, state, self._memory, self._HEADER + MAX_SLOTS + index * self._SLOT)

    # Written by the main process, read by everybody.

    def confirm_lease(self, until: float) -> None:
        """The database has confirmed the lease until this `time.monotonic()`."""
        self._lease.write(until)

    def begin_life(self, worker_id: UUID) -> None:
        """From now on claims are made in the name of this worker row."""
        self._worker.write(worker_id.bytes)

    def end_life(self) -> None:
        """The worker has been buried: nothing its executors write is accepted any more."""
        self._worker.write(_NIL.bytes)

    def mark_shutting_down(self) -> None:
        """The worker is going down: what an executor ends with now is handed back, not judged."""
        self._shutting_down.write(1)

    def mark_paused(self, paused: bool) -> None:
        """The worker has stopped taking messages because it is drained, or takes them again."""
        self._paused.write(paused)

    @property
    def worker_id(self) -> UUID | None:
        """The worker row in whose name to claim; None before registration and after burial."""
        (raw,) = self._worker.read()
        return _worker_id(raw)

    @property
    def shutting_down(self) -> bool:
        return bool(self._shutting_down.read()[0])

    @property
    def takes_messages(self) -> bool:
        """Whether a message that is published now may be delivered to this worker."""
        return not (self._paused.read()[0] or self.shutting_down)

    @property
    def is_paused(self) -> bool:
        return bool(self._paused.read()[0])

    @property
    def lease_confirmed(self) -> bool:
        """Whether the last expiry that the database confirmed lies ahead; asks nobody."""
        (until,) = self._lease.read()
        return time.monotonic() < until  # type: ignore[operator]

    def executions(self) -> Iterator[Execution]:
        """What the children are at."""
        for index, state in enumerate(self._memory[self._HEADER : self._HEADER + MAX_SLOTS]):
            if state and (execution := self.slots[index].execution()) is not None:
                yield execution

    def attempts(self) -> dict[UUID, set[int]]:
        """Which attempts of which runs the children are at; 0: about to claim."""
        found: dict[UUID, set[int]] = {}
        for execution in self.executions():
            found.setdefault(execution.run_id, set()).add(execution.attempt)
        return found

    def find(self, run_id: UUID) -> list[Execution]:
        """The children that execute, or are about to claim, this run."""
        return [execution for execution in self.executions() if execution.run_id == run_id]


@lru_cache(maxsize=1)
def _worker_id(raw: Any) -> UUID | None:
    """Kept, as every look for an order compares it."""
    return None if raw == _NIL.bytes else UUID(bytes=raw)


class Slot:
    """One child's part of the table."""

    def __init__(self, table: SlotTable, index: int, state: _Struct, memory: mmap.mmap, offset: int) -> None:
        self.table = table
        self.index = index
        self._state = state
        self._who = _Struct(memory, offset + 8, "=I16sId")
        self._order_kind = _Struct(memory, offset + 64, "=B")
        self._order_for = _Struct(memory, offset + 72, "=16sI")
        self._turned_at = _Struct(memory, offset + 96, "=d")

    # Written by the child.

    @contextmanager
    def occupied(self, pid: int, run_id: UUID) -> Iterator[None]:
        """This child is about to claim the run; written before the claim, so that a death in between is seen."""
        self._who.write(pid, run_id.bytes, 0, float("inf"))
        self._state.write(_State.CLAIMING)
        try:
            yield
        except SystemExit:
            raise  # the process ends: the main process is to see what it was at
        except BaseException:
            self.vacate()
            raise
        self.vacate()

    def begin(self, pid: int, run_id: UUID, attempt: int, deadline: float) -> None:
        """This child executes this attempt."""
        self._who.write(pid, run_id.bytes, attempt, deadline)
        self._state.write(_State.EXECUTING)

    def note_termination(self) -> None:
        """This child was asked to end while it executes an attempt; for a signal handler."""
        self._state.write(_State.TERMINATED)

    def note_leftovers(self) -> None:
        """This process is about to end because of this attempt, and of no other that it executes."""
        self._state.write(_State.LEFTOVERS)

    def note_refusal(self) -> None:
        """The claim that this child was at is refused, as the worker is drained."""
        self._state.write(_State.REFUSED)

    def note_turn(self) -> None:
        """The loop of this process, whose first slot this is, turns; the main process says so before it has begun."""
        self._turned_at.write(time.monotonic())

    def vacate(self) -> None:
        """Nothing is executed here any more."""
        self._state.write(_State.EMPTY)

    # Written by the main process.

    def vacate_for(self, pid: int) -> None:
        """This child has exited. Its successor waits for a slot that is not free, so it cannot be in here meanwhile."""
        if (execution := self.execution()) is not None and execution.pid == pid:
            self.vacate()

    def order(self, run_id: UUID, attempt: int, order: Order) -> None:
        """Order this attempt to stop; the first order stays until another attempt gets one."""
        if self.order_for(run_id, attempt) is not None:
            return
        self._order_kind.write(0)
        self._order_for.write(run_id.bytes, attempt)
        self._order_kind.write(order)

    # Read by both.

    def execution(self) -> Execution | None:
        """What the child is at; None: nothing."""
        (state,) = self._state.read()
        if state == _State.EMPTY:
            return None
        pid, raw, attempt, deadline = self._who.read()
        run_id = UUID(bytes=bytes(raw))  # type: ignore[arg-type]
        return Execution(
            self.index,
            int(pid),
            run_id,
            int(attempt),
            float(deadline),
            state == _State.TERMINATED,
            state == _State.LEFTOVERS,
            state == _State.REFUSED,
        )

    @property
    def stands_for(self) -> float:
        """For how many seconds the loop of the process whose first slot this is has not turned."""
        (turned_at,) = self._turned_at.read()
        return time.monotonic() - float(turned_at)

    def order_for(self, run_id: UUID, attempt: int) -> Order | None:
        """The order to stop this attempt, if there is one.

        Read in the reverse of the order in which it is written, so that a kind is never taken for another attempt's.
        """
        if self._order_for.read() != (run_id.bytes, attempt):
            return None
        (kind,) = self._order_kind.read()
        return Order(int(kind)) if kind else None
