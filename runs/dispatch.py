"""What leaves the database after a commit: publishing a run, telling workers of a cancel. All of it hints.

Names the task and the control command, imports neither. Every hint is bounded in time and may be lost: the scheduler
and the lease renewal do what a lost one left undone.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

from runs import broker
from runs.after_commit import after_commit
from runs.conf import runs_settings
from runs.models import Run
from runs.states import must_be_alone

logger = logging.getLogger(__name__)

EXECUTE_RUN = "runs.execute_run"
INTERRUPT_RUN = "interrupt_run"
FORCE_STOP_RUN = "force_stop_run"
READ_WORKER_ROW = "read_worker_row"
#: Header of a message whose run is to be executed alone in its process.
ALONE = "runyard_alone"
MESSENGER = "runs-messenger"
_MAX_WAITING_BROADCASTS = 1000
#: Messages that wait for the end of a break; beyond it the oldest are left to the scheduler.
_MAX_KEPT = 1000


class _Breaker:
    """After a failure, do not even try for a while: a broker that is away must not slow every request down.

    What was to be published is kept, and sent from a thread of its own when the break is over: so the first request
    of an outage waits for PUBLISH_TIMEOUT_SECONDS, and no other pays for the question whether the broker is back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._kept: deque[tuple[str, Callable[[], Any]]] = deque(maxlen=_MAX_KEPT)
        self._probe: threading.Timer | None = None

    def call(self, what: str, send: Callable[[], Any], *, keep: bool = False) -> None:
        """Send, unless the break lasts; `keep`: then send it afterwards. Never raises."""
        with self._lock:
            if self._is_open:
                self._keep(what, send, keep)
                return
        try:
            send()
        except Exception:
            _log_failure(what)
            with self._lock:
                self._keep(what, send, keep)
                self._open()

    def close(self) -> None:
        """End the break and forget what was kept."""
        with self._lock:
            self._is_open = False
            self._kept.clear()
            if self._probe is not None:
                self._probe.cancel()

    def _keep(self, what: str, send: Callable[[], Any], keep: bool) -> None:
        if keep:
            self._kept.append((what, send))

    def _open(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        self._probe = threading.Timer(runs_settings().PUBLISH_BREAK_SECONDS, self._send_kept)
        self._probe.name, self._probe.daemon = f"{MESSENGER}-probe", True
        self._probe.start()

    def _send_kept(self) -> None:
        """The break is over: send what was kept, in order. The first failure begins another break."""
        while (kept := self._next_kept()) is not None:
            what, send = kept
            try:
                send()
            except Exception:
                _log_failure(what)
                with self._lock:
                    self._kept.appendleft(kept)
                    self._is_open = False
                    self._open()
                return

    def _next_kept(self) -> tuple[str, Callable[[], Any]] | None:
        """None: everything was sent, and from now on everybody sends again."""
        with self._lock:
            if self._kept:
                return self._kept.popleft()
            self._is_open = False
            return None


def _log_failure(what: str) -> None:
    logger.warning("%s was not sent; the scheduler and the lease renewal will make up for it", what, exc_info=True)


class _Messenger:
    """Sends broadcasts from a thread of its own: with the broker away one can block for seconds."""

    def __init__(self) -> None:
        self.forget_thread()

    def forget_thread(self) -> None:
        """A forked child inherits the messenger but not its thread."""
        self._waiting = threading.BoundedSemaphore(_MAX_WAITING_BROADCASTS)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=MESSENGER)

    def post(self, what: str, send: Callable[[], Any]) -> None:
        """Send soon; with too much waiting already the hint is dropped."""
        if self._waiting.acquire(blocking=False):
            self._executor.submit(self._send, what, send)

    def _send(self, what: str, send: Callable[[], Any]) -> None:
        try:
            _breaker.call(what, send)
        finally:
            self._waiting.release()


_breaker = _Breaker()
_messenger = _Messenger()


def _begin_anew() -> None:
    """A forked child inherits locks that nobody will release."""
    global _breaker  # noqa: PLW0603 - the child's own
    _breaker = _Breaker()
    _messenger.forget_thread()


os.register_at_fork(after_in_child=_begin_anew)


def broker_is_back() -> None:
    """Whoever knows that the broker answers again ends the break. What was kept is theirs to publish anew."""
    _breaker.close()


def publish_on_commit(run: Run) -> None:
    """Hand the run to Celery when the transaction has committed."""
    details = {"thread": str(run.thread_id), "assistant": run.assistant, "strategy": str(run.multitask_strategy)}
    send = partial(
        broker.send_task,
        EXECUTE_RUN,
        args=(str(run.pk),),
        task_id=str(run.pk),
        queue=broker.queue_of(run.owner_id),
        shown_as=f"{run.assistant}/{run.multitask_strategy}",
        argsrepr=f"(run {run.pk})",
        kwargsrepr=repr(details),
        **({"headers": {ALONE: True}} if must_be_alone(run.reason) else {}),
    )
    after_commit(partial(_breaker.call, f"run {run.pk}", send, keep=True))


def interrupt_on_commit(run: Run) -> None:
    """Tell the worker that executes this attempt to stop it."""
    arguments = {"run_id": str(run.pk), "attempt": run.attempt, "status": str(run.status)}
    _broadcast_on_commit(INTERRUPT_RUN, arguments)


def force_stop_on_commit(run: Run) -> None:
    """Tell the worker that holds this attempt to kill its process now."""
    _broadcast_on_commit(FORCE_STOP_RUN, {"run_id": str(run.pk), "attempt": run.attempt})


def read_row_on_commit(worker_id: UUID) -> None:
    """Tell the worker that its own row says something new."""
    _broadcast_on_commit(READ_WORKER_ROW, {"worker_id": str(worker_id)})


def revoke_on_commit(run_id: UUID) -> None:
    """Tell workers to discard the run's message if they meet it."""
    send = partial(broker.revoke, str(run_id))
    after_commit(partial(_messenger.post, f"revoke of run {run_id}", send))


def _broadcast_on_commit(command: str, arguments: dict[str, Any]) -> None:
    send = partial(broker.broadcast, command, arguments)
    after_commit(partial(_messenger.post, f"{command} {arguments}", send))
