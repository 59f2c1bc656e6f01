"""What an attempt has started in a process that it shares: tasks, generators, jobs in threads, threads.

A context variable travels with whatever is started: so everything knows whose it is, and it is known who has left.
"""

import asyncio
import contextvars
import ctypes
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import thread as pool_threads
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakSet

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from runs.dispatch import MESSENGER
from runs.errors import Interruption
from runs.execution.connections import forget_assistants_connections
from runs.execution.whereabouts import between_two_jobs, unwinding_threads

T = TypeVar("T")

_owner: contextvars.ContextVar["Owner | None"] = contextvars.ContextVar("runs_attempt_owner", default=None)


def current_owner() -> "Owner | None":
    """Whose code is being executed; None: the executor's own."""
    return _owner.get()


def nobodys_context() -> contextvars.Context:
    """A copy of this context in which what is started belongs to no attempt."""
    context = contextvars.copy_context()
    context.run(_owner.set, None)
    return context


class Owner:
    """One attempt as the owner of what it has started."""

    def __init__(self) -> None:
        #: Who reads and writes the checkpoints of its graph, in order.
        self.scribe: Callable[[Callable[[], Any]], Future[Any]] | None = None
        #: Tasks that are not done.
        self.tasks: set[asyncio.Task[Any]] = set()
        self._generators: WeakSet[AsyncGenerator[Any, Any]] = WeakSet()
        self._futures: WeakSet[Future[Any]] = WeakSet()
        self._threads: set[threading.Thread] = set()
        #: Threads that execute code of this attempt now, and how deep in the executor's own sections they are.
        self._inside: dict[int, int] = {}
        self._lock = threading.RLock()
        self._executor: ThreadPoolExecutor | None = None
        self._orm = ThreadSensitiveContext()

    def context(self) -> contextvars.Context:
        """A copy of this context in which everything is the attempt's."""
        context = contextvars.copy_context()
        context.run(_owner.set, self)
        context.run(SyncToAsync.thread_sensitive_context.set, self._orm)
        return context

    # What it starts

    def add_task(self, task: "asyncio.Task[Any]") -> None:
        """The task counts until it is done."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard, context=nobodys_context())

    def add_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """It has been begun on the loop."""
        self._generators.add(generator)

    def executor(self) -> ThreadPoolExecutor:
        """The attempt's own default executor, as it has one where it has a loop of its own."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(thread_name_prefix="assistant")
        return self._executor

    def start_thread(self, thread: threading.Thread, start: Callable[[threading.Thread], None]) -> None:
        """Start a thread in a copy of this context."""
        thread.run = self._inside_of_thread(contextvars.copy_context(), thread.run)  # type: ignore[method-assign]
        start(thread)
        with self._lock:
            self._threads.add(thread)

    def submit(
        self, submit: Callable[..., "Future[T]"], job: Callable[..., T], *args: Any, **kwargs: Any
    ) -> "Future[T]":
        """Submit a job to a pool of threads, whoever else uses that."""
        future = submit(self._inside_of_thread(contextvars.copy_context(), job), *args, **kwargs)
        self._futures.add(future)
        return future

    def _inside_of_thread(self, context: contextvars.Context, job: Callable[..., T]) -> Callable[..., T]:
        def inside(*args: Any, **kwargs: Any) -> T:
            ident = threading.get_ident()
            try:
                with self.inside():
                    return context.run(job, *args, **kwargs)
            except Interruption:  # it may have come just before the end of the block
                self.get_out(ident)
                raise

        return inside

    def inside(self) -> "_Inside":
        """This thread executes code of the attempt in the block, and can be interrupted there."""
        return _Inside(self)

    def get_in(self, ident: int) -> None:
        """From here on this thread can be interrupted."""
        with self._lock:
            self._inside[ident] = 0

    def get_out(self, ident: int) -> None:
        """From here on nothing is raised in this thread; what is on its way comes now or never."""
        while True:
            try:
                with self._lock:
                    self._inside.pop(ident, None)
                    _take_back(ident)
                return
            except Interruption:
                continue

    @contextmanager
    def own_section(self) -> Iterator[None]:
        """The block is the executor's own: nothing is raised in it."""
        ident = threading.get_ident()
        with self._lock:
            depth = self._inside.get(ident)
            if depth is not None:
                self._inside[ident] = depth + 1
                _take_back(ident)
        try:
            yield
        finally:
            if depth is not None:
                with self._lock:
                    self._inside[ident] = depth

    # Its end

    def interrupt_threads(self, exception: type[Interruption]) -> None:
        """Raise this in every thread that executes code of the attempt, unless it is unwinding already."""
        with self._lock:
            unwinding, frames = unwinding_threads(), sys._current_frames()
            for ident, own_sections in self._inside.items():
                if not own_sections and ident not in unwinding and not between_two_jobs(frames.get(ident)):
                    _raise_in(ident, exception)

    def threads_are_unwinding(self) -> bool:
        """Whether any of its threads cleans up after an interruption."""
        with self._lock:
            return bool(unwinding_threads() & self._inside.keys())

    def close(self) -> None:
        """It has returned: what was submitted and has not begun never begins, and idle threads end."""
        for future in list(self._futures):
            future.cancel()
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        orm = SyncToAsync.context_to_thread_executor.pop(self._orm, None)
        if orm is not None:
            nobodys_context().run(orm.submit, forget_assistants_connections)
            orm.shutdown(wait=False)

    def take_generators(self) -> list[AsyncGenerator[Any, Any]]:
        """Those that nobody has finished; each is given once."""
        left = list(self._generators)
        self._generators.clear()
        return left

    def is_alive(self) -> bool:
        """Whether a task, a job or a thread of the attempt is alive."""
        with self._lock:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            return bool(self.tasks or self._threads or self._inside)


class _Inside:
    """A class and not a generator: little may stand between the assistant's return and the end of the block."""

    def __init__(self, owner: Owner) -> None:
        self._owner, self._ident = owner, threading.get_ident()

    def __enter__(self) -> None:
        self._owner.get_in(self._ident)

    def __exit__(self, *_: object) -> None:
        self._owner.get_out(self._ident)


def install() -> None:
    """Make threads and pools of threads of this process remember whose they are."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_owned(thread: threading.Thread) -> None:
        owner = current_owner()
        if owner is None or thread.name.startswith(MESSENGER) or _is_of_pool(thread):
            start(thread)
        else:
            owner.start_thread(thread, start)

    def submit_owned(pool: ThreadPoolExecutor, job: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        owner = current_owner()
        if owner is None or getattr(pool, "is_the_executors", False):
            return submit(pool, job, *args, **kwargs)
        return owner.submit(lambda *given, **named: submit(pool, *given, **named), job, *args, **kwargs)

    threading.Thread.start = start_owned  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = submit_owned  # type: ignore[method-assign, assignment]


def _is_of_pool(thread: threading.Thread) -> bool:
    """A pool may be shared: its threads are nobody's, its jobs are somebody's."""
    return vars(thread).get("_target") is vars(pool_threads)["_worker"]


def _raise_in(ident: int, exception: type[Interruption]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(exception))


def _take_back(ident: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), None)
