"""The few threads of a loop process that talk to the database, each with the executor's connection of its own.

The loop never waits. Their number bounds the connections of the process, whatever number of attempts it executes.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from runs.dispatch import MESSENGER
from runs.execution.connections import check_executors_connection, executors_connection
from runs.execution.jobs import fulfil
from runs.execution.loops.owner import nobodys_context

T = TypeVar("T")


class DatabaseThreads(ThreadPoolExecutor):
    """Its jobs are the executor's, whoever asks for them: they are never interrupted."""

    is_the_executors = True

    def __init__(self, count: int) -> None:
        super().__init__(count, thread_name_prefix=f"{MESSENGER}-database")

    def do(self, job: Callable[[], T]) -> "Future[T]":
        """Do the job soon, and say in its log lines whose it is."""
        return self.submit(nobodys_context().run, job)

    async def ado(self, job: Callable[[], T]) -> T:
        """Do the job while the loop goes on."""
        return await asyncio.wrap_future(self.do(job))

    def on_checked_connection(self, job: Callable[[], T]) -> T:
        """For a job that is not repeated: on a connection that lives. Inside one of the threads."""
        check_executors_connection()
        with executors_connection():
            return job()


class Lane:
    """Does one attempt's jobs in the order in which they were submitted, by whichever thread is free."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.Lock()
        self._busy = False

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Do the job soon, after all that were submitted before."""
        future: Future[T] = Future()
        with self._lock:
            self._jobs.append((future, job))
            if self._busy:
                return future
            self._busy = True
        self._threads.do(self._work)
        return future

    def _work(self) -> None:
        """One job, then it is another attempt's turn."""
        with self._lock:
            future, job = self._jobs.popleft()
        fulfil(future, job)
        with self._lock:
            self._busy = bool(self._jobs)
        if self._busy:
            self._threads.do(self._work)
