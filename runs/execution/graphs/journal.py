"""What a graph has written and the database does not have yet.

Each write of a graph alone would be a transaction under the thread's lock, and a graph that does next to nothing has
five. So writes are collected, and stored together, in order, when one of them has to be durable, when somebody reads,
after a moment, or with the outcome of the run.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from runs.execution.graphs.linger import linger
from runs.models import Run
from runs.services.graph_writes import GraphWrite, put_graph_writes
from runs.services.progress import Report

T = TypeVar("T")
#: A graph that is faster than the database waits for it from here on.
MOST_WAITING = 64
Submit = Callable[[Callable[[], Any]], "Future[Any]"]
Section = Callable[[], AbstractContextManager[None]]


class MustRead(BaseException):
    """A job that was begun where the database must not be asked has to ask it; it has changed nothing."""


class Host(Protocol):
    """The executor, as far as a journal needs it."""

    @property
    def must_stop(self) -> bool:
        """Whether the attempt has been told to stop."""

    def persist_report(self, job: Callable[[Report], T]) -> T:
        """Do the job with what was reported since the last time, or raise the interruption."""


class Journal:
    """The writes of one attempt. `submit` has jobs done one after the other; `add` and `store` are for such jobs.

    `section`: in which whoever asks for a job may do it; None: others would have to wait for that.
    """

    def __init__(self, run: Run, host: Host, submit: Submit, section: Section | None = None) -> None:
        self._run, self._host, self._section = run, host, section
        self._submit_uncounted = submit
        self._writes: list[GraphWrite] = []
        #: Why a job failed whose end nobody waited for: what came after it must not be stored without it.
        self._failure: BaseException | None = None
        #: One for each posted job that is not begun; a deque counts whichever threads change it.
        self._posted: deque[None] = deque()
        #: One for each job that was submitted and is not done, or was cancelled: one too many does no harm.
        self._left: deque[None] = deque()
        #: Whoever does a job has it.
        self._turn = threading.Lock()

    @property
    def is_stuck(self) -> bool:
        """Whether nothing should be posted any more: so much is waiting, or something has failed that nobody knows."""
        return len(self._posted) >= MOST_WAITING or self._failure is not None

    def post(self, job: Callable[[], object]) -> None:
        """Have the job done soon. If it fails, the next job that somebody waits for says so."""
        self._posted.append(None)
        self._submit(lambda: self._do_posted(job))

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Have the job done soon, after all that were posted before, or fail as the first of those that failed."""
        return self._submit(lambda: self._do(job))

    def _submit(self, job: Callable[[], T]) -> "Future[T]":
        self._left.append(None)
        return self._submit_uncounted(lambda: self._do_in_turn(job))

    def _do_in_turn(self, job: Callable[[], T]) -> T:
        try:
            with self._turn:
                return job()
        finally:
            self._left.popleft()

    def try_here(self, job: Callable[[], T], *, waits: bool) -> T | None:
        """Do the job in this thread, which costs less than to have it done; None: it has to be submitted.

        It is, if others are before it or it must read. Nothing interrupts it. If it fails, and nobody `waits` for it,
        the next that somebody waits for says so.
        """
        if self._section is None or self._left or self._failure is not None:
            return None
        with self._section():
            if not self._turn.acquire(blocking=False):
                return None
            try:
                return job()
            except MustRead:
                return None
            except BaseException as error:
                if waits:
                    raise
                self._failure = error
                return None
            finally:
                self._turn.release()

    def _do(self, job: Callable[[], T]) -> T:
        if self._failure is not None:
            raise self._failure
        return job()

    def _do_posted(self, job: Callable[[], object]) -> None:
        self._posted.popleft()
        try:
            self._do(job)
        except BaseException as error:
            self._failure = error

    def add(self, write: GraphWrite) -> None:
        """To be stored with others."""
        self._writes.append(write)
        if len(self._writes) == 1:
            linger.call(self._store_soon)

    def _store_soon(self) -> None:
        if self._writes:
            self.post(self.store)

    def store(self) -> None:
        """Store all that was added. Raises the interruption if the attempt is fenced."""
        writes = self.take()
        try:
            self._put(writes)
        except BaseException as error:
            self._failure = error
            raise

    def take(self) -> Sequence[GraphWrite]:
        """All that is not stored; whoever takes it stores it."""
        writes, self._writes = self._writes, []
        return writes

    def close(self) -> Sequence[GraphWrite]:
        """The same, and nothing more is added: what threads do that were left behind would undo the end."""
        self._failure = RuntimeError("the attempt has ended")
        return self.take()

    def close_here(self) -> Sequence[GraphWrite] | None:
        """The same in this thread; None: a job is not done. One that comes later finds that the attempt has ended."""
        if self._left or not self._turn.acquire(blocking=False):
            return None
        try:
            return self._do(self.close)
        finally:
            self._turn.release()

    def _put(self, writes: Sequence[GraphWrite]) -> None:
        """All or nothing; if one of them is refused, those before it."""
        if not writes:
            return
        run = self._run
        try:
            self._host.persist_report(
                lambda report: put_graph_writes(
                    run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt, writes=writes, report=report
                )
            )
        except Exception:
            if len(writes) == 1 or self._host.must_stop:
                raise
            for write in writes:
                self._put([write])
