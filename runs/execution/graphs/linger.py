"""Jobs that are done a moment after they were asked for, by one thread of the process."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from runs.dispatch import MESSENGER

logger = logging.getLogger(__name__)

#: A job is done after one of these, or two; nobody waits for it, and most runs without a model have ended by then. To
#: wake a thread costs more than what it does, so it is not woken for each.
LINGER_SECONDS = 0.035
Job = Callable[[], object]


class Linger:
    """Not one of an attempt's threads: it is never interrupted."""

    _lock: threading.Lock
    _jobs: "SimpleQueue[Job]"
    _thread: threading.Thread | None

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """A forked child has no thread of its parent's."""
        self._lock, self._jobs, self._thread = threading.Lock(), SimpleQueue(), None

    def call(self, job: Job) -> None:
        """Call this a moment from now; it must not take long."""
        self._jobs.put(job)
        if self._thread is None:
            self._begin()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"{MESSENGER}-linger", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        """What comes while it sleeps is found when it wakes; it waits for a call only when none has come meanwhile."""
        while True:
            due = [self._jobs.get()]
            while due:
                time.sleep(LINGER_SECONDS)
                due, now = self._taken(), due
                for job in now:
                    _do(job)

    def _taken(self) -> list[Job]:
        found = []
        with suppress(Empty):
            while True:
                found.append(self._jobs.get_nowait())
        return found


def _do(job: Job) -> None:
    try:
        job()
    except Exception:
        logger.exception("what was to be done a moment later was not; the next to be stored takes it along")


linger = Linger()
os.register_at_fork(after_in_child=linger.forget)
