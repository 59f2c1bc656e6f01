"""The main process's database half: jobs done by a thread, one after the other, again and again while it is away."""

import logging
import queue
import threading
import time
from collections.abc import Callable

from django.db import connection

from runs.execution.persistence import DATABASE_TROUBLE, is_transient
from runs.locks import bounded_lock_waits, is_lock_timeout

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
Job = Callable[[], object]


class Clerk:
    """A thread that does jobs; one that fails for want of the database, or of a lock, goes to the end of the queue."""

    def __init__(self) -> None:
        self._jobs: queue.Queue[tuple[str, Job] | None] = queue.Queue()
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="runs-clerk", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def submit(self, key: str, job: Job) -> None:
        """Do the job soon; a job whose key waits already is the same job."""
        with self._lock:
            if key in self._known:
                return
            self._known.add(key)
        self._jobs.put((key, job))

    def stop(self, seconds: float) -> None:
        """Finish what was submitted, as far as that is possible within this time."""
        self._jobs.put(None)
        self._thread.join(seconds)
        self._stopping.set()

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            if not self._done(*entry) and not self._stopping.is_set():
                self._jobs.put(entry)
                continue
            with self._lock:
                self._known.discard(entry[0])
        connection.close()

    def _next(self) -> tuple[str, Job] | None:
        """The next job; None once there is no other and `stop` was called."""
        entry = self._jobs.get()
        if entry is None and not self._jobs.empty():
            self._jobs.put(None)  # behind what was put off
            return self._next()
        return entry

    def _done(self, key: str, job: Job) -> bool:
        try:
            with bounded_lock_waits():
                job()
        except DATABASE_TROUBLE as error:
            if is_lock_timeout(error):
                logger.info("%s: somebody holds the lock; the others come first", key)
                return False
            connection.close()
            if is_transient(error):
                logger.warning("%s: the database is away; trying again", key, exc_info=True)
                time.sleep(RETRY_SECONDS)
                return False
            logger.exception("%s failed; the next renewal will try again", key)
        except Exception:
            logger.exception("%s failed; the next renewal will try again", key)
        return True
