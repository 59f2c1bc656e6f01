"""The thread through which a graph's checkpoints are read and written.

LangGraph calls its checkpointer from threads and from its event loop. Django's connection belongs to one thread, a loop
must not wait for the database, and an interruption must not hit a transaction: so all of it is done here, in order.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from runs.dispatch import MESSENGER

T = TypeVar("T")


class Scribe:
    """Does one job after the other. Not one of the attempt's threads: it is never interrupted."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        #: Where several attempts are executed at a time: who does the jobs of the one that asks.
        self.find_other: Callable[[], Callable[[Callable[[], Any]], Future[Any]] | None] = lambda: None

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Do the job soon."""
        if (other := self.find_other()) is not None:
            return other(job)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{MESSENGER}-scribe")
        return self._thread.submit(job)

    def do(self, job: Callable[[], T]) -> T:
        """Do the job now."""
        return self.submit(job).result()

    async def ado(self, job: Callable[[], T]) -> T:
        """Do the job now, while the event loop goes on."""
        return await asyncio.wrap_future(self.submit(job))

    def forget(self) -> None:
        """A forked child has no thread of its parent's."""
        self._thread = None


scribe = Scribe()
os.register_at_fork(after_in_child=scribe.forget)
