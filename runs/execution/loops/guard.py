"""An order to stop on its way into an attempt that shares its process: `task.cancel()`, and a raise in its threads."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Iterator
from types import AsyncGeneratorType, FrameType
from typing import Any
from uuid import UUID

from runs.errors import Interruption
from runs.execution.interruption import EXCEPTIONS
from runs.execution.loops.owner import Owner
from runs.execution.slots import Order, Slot
from runs.execution.whereabouts import comes_from_interruption, is_of_the_loop


class LoopGuard:
    """Watches over one attempt. Orders are heeded on the loop, and judged by the slot as everywhere."""

    process_must_end = False
    in_event_loop = True

    def __init__(self, slot: Slot, run_id: UUID, attempt: int, worker_id: UUID) -> None:
        self.order: Order | None = None
        self.owner = Owner()
        #: The assistant's task, while there is one.
        self.task: asyncio.Task[Any] | None = None
        #: A step is being stored: the order is seen at its end.
        self.storing = False
        self._told = False
        self._heeding = False
        self._slot, self._run_id, self._attempt, self._worker_id = slot, run_id, attempt, worker_id

    def look(self) -> None:
        """Read the slot."""
        if self.order is None:
            self.order = self._slot.order_for(self._run_id, self._attempt)
        if self.order is None and self._slot.table.worker_id != self._worker_id:  # it was buried
            self.order = Order.FENCED

    def assistant_code(self) -> "contextlib.AbstractContextManager[None]":
        """The block executes assistant code in a thread: an order is raised in the middle of it."""
        return self.owner.inside()

    @contextlib.contextmanager
    def own_section(self) -> Iterator[None]:
        """The block is the executor's own, called by assistant code: an order is raised when it is over."""
        with self.owner.own_section():
            yield
        self.raise_if_ordered()

    def leave(self) -> None:
        """The assistant has returned."""
        self.task = None

    def exception(self) -> Interruption:
        """What the assistant sees of the order."""
        return EXCEPTIONS[self.order or Order.FENCED]()

    def pending(self) -> Interruption | None:
        """What to throw into the assistant now."""
        if self.order is None or self.unwinding():
            return None
        self._told = True
        return self.exception()

    def raise_if_ordered(self) -> None:
        """Raise the order, unless this code is unwinding from it already."""
        if (interruption := self.pending()) is not None:
            raise interruption

    def unwinding(self) -> bool:
        """Whether this code is handling an interruption, or something raised while handling one."""
        return comes_from_interruption(sys.exc_info()[1], cancelled=self._told)

    # The order

    def on_signal(self, loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> None:
        """Inside the signal handler, which interrupted `frame` of the loop's thread.

        The loop is asked first, because others share it. Only if it has not turned since the last time, and it is this
        attempt that holds it, the order is raised in the middle of what holds it.
        """
        self.look()
        if self.order is None:
            return
        if not self._heeding:
            self._heeding = True
            loop.call_soon_threadsafe(self._heed)
        elif self._holds(loop) and not is_of_the_loop(frame) and not self.unwinding():
            self._told = True
            raise self.exception()

    def _holds(self, loop: asyncio.AbstractEventLoop) -> bool:
        return not self.storing and asyncio.current_task(loop) in self.owner.tasks

    def _heed(self) -> None:
        self._heeding = False
        self.press()

    def press(self) -> None:
        """Interrupt whatever the attempt is at. Repeated, but not while any of it unwinds: that has the whole grace."""
        self.owner.interrupt_threads(EXCEPTIONS[self.order or Order.FENCED])
        if self.storing or (self._told and any(map(is_unwinding, self.owner.tasks))):
            return
        self._told = True
        for task in list(self.owner.tasks) if self.task is None or self.task.done() else [self.task]:
            task.cancel()


def is_unwinding(task: "asyncio.Task[Any]") -> bool:
    """Whether a task that waits does so while it handles its cancellation.

    What a suspended frame is handling is not to be seen from Python, but the garbage collector knows of it.
    """
    awaited: Any = task.get_coro()
    while awaited is not None:
        known = gc.get_referents(awaited)
        if any(comes_from_interruption(one, cancelled=True) for one in known if isinstance(one, BaseException)):
            return True
        awaited = _awaited_by(awaited, known)
    return False


def _awaited_by(awaited: Any, known: list[Any]) -> Any:
    """What this coroutine or generator waits for; the step of an asynchronous generator waits for the generator."""
    for name in ("cr_await", "ag_await", "gi_yieldfrom"):
        if hasattr(awaited, name):
            return getattr(awaited, name)
    return next((one for one in known if isinstance(one, AsyncGeneratorType) or asyncio.iscoroutine(one)), None)
