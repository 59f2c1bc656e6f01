"""The scheduler: repairs everything that a crash can leave behind. Needs only PostgreSQL; any number may run."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.db import connection

from runs import dispatch
from runs.conf import runs_settings
from runs.sentinel import Sentinel
from runs.services import recover, retention

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 60.0
NAP_SECONDS = 0.2

Action = tuple[str, Callable[[], int]]


@dataclass
class Scheduler:
    """One process's sweeps. Buries a worker only after it has itself been connected for one lease time:
    after an outage of the database the workers get their chance to renew first, so it restarts nobody."""

    #: Set to end `run`. A plain flag: a signal handler must not touch an Event that its own thread waits for.
    stopped: bool = False
    sentinel: Sentinel = field(default_factory=Sentinel)
    _connected_since: float | None = None
    _housekeeping_at: float = 0.0

    def run(self) -> None:
        """Sweep until stopped."""
        while not self.stopped:
            self.sweep()
            self._pause()
        connection.close()

    def sweep(self) -> None:
        """Do everything once. What fails is logged and left to the next sweep.

        A lost connection ends the sweep and starts the wait before burials anew.
        """
        for what, action in self._actions():
            try:
                if count := action():
                    logger.info("%s: %s", what, count)
            except Exception:
                if not connection.is_usable():
                    connection.close()
                    self._connected_since = None
                    logger.warning("the database is away; sweeping goes on when it is back", exc_info=True)
                    return
                logger.exception("%s: failed; the next sweep tries again", what)

    def _actions(self) -> Iterator[Action]:
        yield "timed out", recover.time_out_overdue_runs
        yield "buried workers", self._bury
        yield "recovered runs", recover.recover_stalled_runs
        yield "forgot dispatches", self._forget_dispatches
        yield "dispatched lost runs", recover.dispatch_lost_runs
        yield "removed deleted threads", retention.remove_deleted_threads
        yield "removed deleted runs", retention.remove_deleted_runs
        if time.monotonic() >= self._housekeeping_at:
            self._housekeeping_at = time.monotonic() + HOUSEKEEPING_SECONDS
            yield "forgot idempotency keys", retention.forget_idempotency_keys

    def _bury(self) -> int:
        connection.ensure_connection()
        now = time.monotonic()
        if self._connected_since is None:
            self._connected_since = now
        if now - self._connected_since < runs_settings().LEASE_SECONDS:
            return 0
        return recover.bury_expired_workers()

    def _forget_dispatches(self) -> int:
        """The sentinel is told after the commit: a crash in between costs a second forgetting, not the first."""
        if not self.sentinel.broker_may_have_lost_messages():
            return 0
        forgotten = recover.forget_dispatches()
        self.sentinel.reset()
        dispatch.broker_is_back()
        return forgotten

    def _pause(self) -> None:
        until = time.monotonic() + runs_settings().SWEEP_SECONDS
        while not self.stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECONDS))
