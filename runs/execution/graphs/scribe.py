"""The thread through which a graph's checkpoints are read and written.

LangGraph calls its checkpointer from threads and from its event loop. Django's connection belongs to one thread, a loop
must not wait for the database, and an interruption must not hit a transaction: so all of it is done here, in order.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from runs.dispatch import MESSENGER
from runs.execution.jobs import fulfil

T = TypeVar("T")


class Scribe:
    """Does one job after the other. Not one of the attempt's threads: it is never interrupted."""

    _lock: threading.Lock
    _jobs: "SimpleQueue[tuple[Future[Any], Callable[[], Any]]]"
    _thread: threading.Thread | None

    def __init__(self) -> None:
        #: Where several attempts are executed at a time: who does the jobs of the one that asks.
        self.find_other: Callable[[], Callable[[Callable[[], Any]], Future[Any]] | None] = lambda: None
        self.forget()

    def forget(self) -> None:
        """A forked child has no thread of its parent's."""
        self._lock, self._jobs, self._thread = threading.Lock(), SimpleQueue(), None

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Do the job soon."""
        if (other := self.find_other()) is not None:
            return other(job)
        future: Future[T] = Future()
        self._jobs.put((future, job))
        if self._thread is None:
            self._begin()
        return future

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"{MESSENGER}-scribe", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            fulfil(*self._jobs.get())

    def do(self, job: Callable[[], T]) -> T:
        """Do the job now."""
        return self.submit(job).result()

    async def ado(self, job: Callable[[], T]) -> T:
        """Do the job now, while the event loop goes on."""
        return await asyncio.wrap_future(self.submit(job))


scribe = Scribe()
os.register_at_fork(after_in_child=scribe.forget)
