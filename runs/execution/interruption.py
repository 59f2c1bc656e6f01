"""The child's side of an order to stop: decided inside the signal handler, raised inside assistant code only."""

import asyncio
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from uuid import UUID

from runs.dispatch import MESSENGER
from runs.errors import Interruption, RunCancelled, RunTimedOut, WorkerShutdown
from runs.execution.slots import Order, Slot
from runs.execution.whereabouts import (
    between_two_jobs,
    comes_from_interruption,
    is_of_the_loop,
    name_of_task,
    unwinding_threads,
)

#: Ignored by default, so one that arrives where no handler is installed hurts nobody; billiard does not use it.
INTERRUPT_SIGNAL = signal.SIGURG

EXCEPTIONS: dict[Order, type[Interruption]] = {
    Order.CANCELLED: RunCancelled,
    Order.TIMED_OUT: RunTimedOut,
    Order.SHUTDOWN: WorkerShutdown,
    Order.FENCED: RunCancelled,
}


class _Watch:
    """Which attempt this process executes; a signal handler has no other way to know."""

    guard: "Guard | None" = None
    #: What SIGTERM does while no attempt is executed: the pool's own handler.
    without_attempt: Any = None


_watch = _Watch()


class Guard:
    """Watches over one attempt: knows whether assistant code is executing, and stops it when ordered to."""

    def __init__(self, slot: Slot, run_id: UUID, attempt: int, worker_id: UUID) -> None:
        self.order: Order | None = None
        self._slot, self._run_id, self._attempt, self._worker_id = slot, run_id, attempt, worker_id
        self.in_assistant = False
        #: Tasks of the assistant's loop that have survived it.
        self.left_tasks: set[asyncio.Task[Any]] = set()
        self._own_sections: dict[int, int] = {}
        self._earlier_threads = set(threading.enumerate())
        self._assistants_threads: set[threading.Thread] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._task_told = False
        self._terminated = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Orders for this attempt are heeded inside this block."""
        _watch.guard = self
        try:
            self.look()
            yield
        finally:
            _watch.guard = None

    def assistant_code(self) -> "_AssistantCode":
        """The block executes assistant code: an order is raised in the middle of it."""
        return _AssistantCode(self)

    def leave(self) -> None:
        """No assistant code is executed any more, even if an interruption cut the end of such a block short."""
        self.in_assistant = False

    @contextmanager
    def own_section(self) -> Iterator[None]:
        """The block is the executor's own, called by assistant code: an order is raised when it is over."""
        me = threading.get_ident()
        self._own_sections[me] = self._own_sections.get(me, 0) + 1
        try:
            yield
        finally:
            self._own_sections[me] -= 1
        self.raise_if_ordered()

    @contextmanager
    def driving(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Iterator[None]:
        """Assistant code is this task: while it awaits, an order cancels it instead of being raised."""
        self._loop, self._task, self._task_told = loop, task, False
        try:
            yield
        finally:
            self._loop = self._task = None

    def look(self) -> None:
        """Read the slot; a signal that came before the guard did is not lost."""
        if self.order is None:
            self.order = self._slot.order_for(self._run_id, self._attempt)
        if self.order is None and self._slot.table.worker_id != self._worker_id:  # it was buried
            self.order = Order.FENCED

    def on_signal(self, frame: FrameType | None) -> None:
        """Heed an order meant for this attempt; runs inside the signal handler, which interrupted `frame`."""
        self.look()
        if self.order is None:
            return
        self.interrupt_threads()
        if self.in_assistant and not self._own_sections.get(threading.get_ident()):
            self._interrupt(frame)

    def on_terminate(self, frame: FrameType | None) -> None:
        """The process itself was told to end: the attempt is handed back."""
        self._terminated = True
        self._slot.note_termination()  # so that the main process repeats the order, and ends the grace
        self.order = self.order or Order.SHUTDOWN
        if self.in_assistant and not self._own_sections.get(threading.get_ident()):
            self._interrupt(frame)

    @property
    def in_event_loop(self) -> bool:
        """Whether assistant code is executed by an event loop, where the database must not be touched."""
        return self._loop is not None

    @property
    def process_must_end(self) -> bool:
        return self._terminated

    def left_behind(self) -> str:
        """What of the assistant is still there, in the words of its author, for whoever asks why its process ended."""
        threads = [f"thread {thread.name!r}" for thread in self.started_threads()]
        return ", ".join([*map(name_of_task, self.left_tasks), *threads])

    def exception(self) -> Interruption:
        """What the assistant sees of the order."""
        return EXCEPTIONS[self.order or Order.FENCED]()

    def pending(self) -> Interruption | None:
        """What to throw into the assistant now."""
        if self.order is None or self.unwinding():
            return None
        if self._task is not None and self._running_task() is self._task:
            self._task_told = True
        return self.exception()

    def raise_if_ordered(self) -> None:
        """Raise the order, unless this thread is unwinding from it already."""
        if (interruption := self.pending()) is not None:
            raise interruption

    def _interrupt(self, frame: FrameType | None) -> None:
        """Not while the code is already unwinding from an earlier interruption: cleanup has the whole grace.

        Nobody can see whether a task that awaits is cleaning up: so it is told once. Nothing is raised in the loop's
        own code, which would lose a callback: a task that is never woken again could not even be told.
        """
        if self.unwinding():
            return
        if self._loop is None or self._task is None:
            raise self.exception()
        running = None if is_of_the_loop(frame) else self._running_task()
        if running is not self._task and not self._task_told:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._task_told = True
        if running is not None:
            raise self.exception()

    def _running_task(self) -> "asyncio.Task[Any] | None":
        """The task of the assistant's loop that this code is executed by."""
        if self._loop is None or threading.current_thread() is not threading.main_thread():
            return None
        return asyncio.current_task(self._loop)

    def unwinding(self) -> bool:
        """Whether this thread is handling an interruption, or something raised while handling one."""
        return comes_from_interruption(sys.exc_info()[1], cancelled=self._task_told)

    # Threads

    def started_threads(self) -> list[threading.Thread]:
        """Threads that the attempt has started and that are alive."""
        return [
            thread
            for thread in threading.enumerate()
            if thread not in self._earlier_threads and not thread.name.startswith(MESSENGER)
        ]

    def note_threads(self) -> None:
        """What runs when assistant code ends is the assistant's; a loop that is closed starts more."""
        self._assistants_threads.update(self.started_threads())

    def _threads_of_the_assistant(self) -> list[threading.Thread]:
        started = self.started_threads()
        return started if self.in_assistant else [thread for thread in started if thread in self._assistants_threads]

    def interrupt_threads(self) -> None:
        """Raise the order in every thread the attempt started, at the thread's next bytecode.

        A signal surfaces in the main thread only; one that waits for its threads would otherwise wait to their end.
        """
        unwinding, frames = unwinding_threads(), sys._current_frames()
        for thread in self._threads_of_the_assistant():
            ident = thread.ident
            if ident is None or self._own_sections.get(ident) or ident in unwinding:
                continue
            if between_two_jobs(frames.get(ident)):
                continue
            exception = ctypes.py_object(EXCEPTIONS[self.order or Order.FENCED])
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), exception)

    def wait_for_threads(self, seconds: float) -> bool:
        """Return whether every thread the attempt started ends: within this time, or that of its cleanup.

        Polled: after an interrupted `join` Python 3.11 takes a thread that is alive for one that has ended. What
        cleans up for ever is ended by the main process when the grace is over.
        """
        deadline = time.monotonic() + seconds
        while threads := self.started_threads():
            if time.monotonic() >= deadline and not unwinding_threads() & {thread.ident for thread in threads}:
                return False
            time.sleep(0.02)
        return True


class _AssistantCode:
    """A class and not a generator: nothing may stand between the assistant's return and the end of the block."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __enter__(self) -> None:
        self._guard.in_assistant = True

    def __exit__(self, *_: object) -> None:
        self._guard.in_assistant = False
        self._guard.note_threads()


def install_handlers() -> None:
    """Make this process heed orders and a polite SIGTERM while it executes an attempt.

    Called before every attempt: when a pool child starts, the pool installs its own SIGTERM handler after ours.
    """
    if signal.getsignal(signal.SIGTERM) is not _on_terminate:
        _watch.without_attempt = signal.signal(signal.SIGTERM, _on_terminate)
    signal.signal(INTERRUPT_SIGNAL, _on_interrupt)
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, {signal.SIGTERM, INTERRUPT_SIGNAL}
    )  # a predecessor may have blocked them
    threading.excepthook = on_thread_end


def _forget_attempt() -> None:
    """A process that the assistant forks executes no attempt: what it is told is no order, and ends only itself."""
    if _watch.guard is not None:
        _watch.guard = None
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(INTERRUPT_SIGNAL, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget_attempt)


def _on_interrupt(_signum: int, frame: FrameType | None) -> None:
    if _watch.guard is not None:
        _watch.guard.on_signal(frame)


def _on_terminate(signum: int, frame: FrameType | None) -> None:
    if _watch.guard is not None:
        _watch.guard.on_terminate(frame)
    elif callable(_watch.without_attempt):
        _watch.without_attempt(signum, frame)
    else:
        raise SystemExit


def on_thread_end(args: threading.ExceptHookArgs) -> None:
    if not issubclass(args.exc_type, Interruption):  # that one was ours
        threading.__excepthook__(args)
