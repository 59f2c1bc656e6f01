"""Jobs that are done a moment after they were asked for, by one thread of the process."""

import logging
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from runs.dispatch import MESSENGER

logger = logging.getLogger(__name__)

#: Nobody waits for them, and most runs that do not wait for a model have ended by then.
LINGER_SECONDS = 0.05


class Linger:
    """Not one of an attempt's threads: it is never interrupted."""

    _lock: threading.Lock
    _jobs: "SimpleQueue[tuple[float, Callable[[], object]]]"
    _thread: threading.Thread | None

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """A forked child has no thread of its parent's."""
        self._lock, self._jobs, self._thread = threading.Lock(), SimpleQueue(), None

    def call(self, job: Callable[[], object]) -> None:
        """Call this LINGER_SECONDS from now; it must not take long."""
        self._jobs.put((time.monotonic() + LINGER_SECONDS, job))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"{MESSENGER}-linger", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            due, job = self._jobs.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                job()
            except Exception:
                logger.exception("what was to be done a moment later was not; the next to be stored takes it along")


linger = Linger()
os.register_at_fork(after_in_child=linger.forget)
