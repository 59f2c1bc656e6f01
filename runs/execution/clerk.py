"""The main process's database half: jobs done in order by a thread, retried while it is away."""

import logging
import queue
import threading
import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connection

from runs.execution.persistence import is_transient

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
Job = Callable[[], None]


class Clerk:
    """A thread that does jobs in order; a job that fails for want of the database is done again later."""

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
        while (entry := self._jobs.get()) is not None:
            key, job = entry
            while not self._done(key, job) and not self._stopping.is_set():
                time.sleep(RETRY_SECONDS)
            with self._lock:
                self._known.discard(key)
        connection.close()

    def _done(self, key: str, job: Job) -> bool:
        try:
            job()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if is_transient(error):
                logger.warning("%s: the database is away; trying again", key, exc_info=True)
                return False
            logger.exception("%s failed; the next renewal will try again", key)
        except Exception:
            logger.exception("%s failed; the next renewal will try again", key)
        return True
