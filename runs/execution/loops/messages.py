"""A run's message while its run is executed in a loop process, and how its end is presented to Celery."""

import logging
import time
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore, Reject

from runs.dispatch import ALONE, EXECUTE_RUN

logger = logging.getLogger(__name__)


class RunFailed(Exception):
    """A run ended with an error; its row has the details."""


class Job:
    """One delivery of a run's message, with Celery's own callbacks for it."""

    def __init__(
        self,
        number: int,
        arguments: Any,
        callback: Callable[..., Any] | None,
        accept_callback: Callable[..., Any] | None,
    ) -> None:
        self.number = number
        self._name, self.run_id, headers = arguments[0], str(arguments[1]), arguments[2]
        self.alone = bool(headers.get(ALONE))
        #: Whether a process has said that it has claimed the run.
        self.claimed = False
        self._callback, self._accept = callback, accept_callback
        self._began = time.monotonic()

    @property
    def is_run(self) -> bool:
        """Whether it is ours; other tasks need other workers."""
        return bool(self._name == EXECUTE_RUN)

    def accept(self, pid: int) -> None:
        """A process has it."""
        if self._accept is not None:
            self._accept(pid, time.monotonic())

    def present(self, ending: str, assistant: str) -> None:
        """As the task of a prefork child does."""
        seconds = time.monotonic() - self._began
        logger.info("Task %s[%s] ended after %.3f s: %s", self._name, self.run_id, seconds, ending)
        if ending == "success":
            self._call(0, ending)
        elif ending == "error":
            self._call(1, _info(RunFailed(f"{assistant}: see the run")))
        else:
            if ending == "stopped":
                self._send_revoked()
            self.ignore()

    def ignore(self) -> None:
        """Forget the message: nothing depends on it."""
        self._call(1, _info(Ignore()))

    def give_back(self) -> None:
        """The message goes back to its queue."""
        self._call(1, _info(Reject("the worker stops", requeue=True)))

    def refuse(self) -> None:
        """It is no run."""
        logger.error("Task %s[%s] is refused: this pool executes runs only; start a prefork worker", *self._who)
        self._call(1, _info(Reject("the pool of loop processes executes runs only", requeue=False)))

    @property
    def _who(self) -> tuple[str, str]:
        return self._name, self.run_id

    def _call(self, failed: int, value: Any) -> None:
        if self._callback is not None:
            self._callback((failed, value, time.monotonic() - self._began))

    def _send_revoked(self) -> None:
        request = getattr(self._callback, "__self__", None)
        if request is not None:
            request.send_event("task-revoked", terminated=True, signum=None, expired=False)

    def terminate(self, _signal: Any) -> None:
        """Celery asks for it beside `terminate_job` of the pool, which does it."""


def _info(error: Exception) -> Any:
    try:
        raise error
    except Exception:
        return ExceptionInfo()
