"""The scheduler: repairs everything that a crash can leave behind. Needs only PostgreSQL; any number may run."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connection

from runs.conf import runs_settings
from runs.sentinel import Sentinel
from runs.services import recover, retention

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 60.0


@dataclass
class Scheduler:
    """One process's sweeps. Buries a worker only after it has itself been connected for one lease time:
    after an outage of the database the workers get their chance to renew first, so it restarts nobody."""

    stopped: threading.Event = field(default_factory=threading.Event)
    sentinel: Sentinel = field(default_factory=Sentinel)
    _connected_since: float | None = None
    _housekeeping_at: float = 0.0

    def run(self) -> None:
        """Sweep until stopped."""
        while not self.stopped.is_set():
            self.sweep()
            self.stopped.wait(runs_settings().SWEEP_SECONDS)
        connection.close()

    def sweep(self) -> None:
        """Do everything once; an outage of the database ends the sweep and starts the wait before burials anew."""
        try:
            self._sweep()
        except (DatabaseError, InterfaceError):
            connection.close()
            self._connected_since = None
            logger.warning("the database is away; sweeping goes on when it is back", exc_info=True)

    def _sweep(self) -> None:
        self._do("timed out", recover.time_out_overdue_runs)
        if self._may_bury():
            self._do("buried workers", recover.bury_expired_workers)
        self._do("recovered runs", recover.recover_stalled_runs)
        if self.sentinel.broker_was_emptied():
            self._do("forgot dispatches", recover.forget_dispatches)
        self._do("dispatched lost runs", recover.dispatch_lost_runs)
        self._do("removed deleted threads", retention.remove_deleted_threads)
        self._do("removed deleted runs", retention.remove_deleted_runs)
        if time.monotonic() >= self._housekeeping_at:
            self._housekeeping_at = time.monotonic() + HOUSEKEEPING_SECONDS
            self._do("forgot idempotency keys", retention.forget_idempotency_keys)

    def _may_bury(self) -> bool:
        connection.ensure_connection()
        now = time.monotonic()
        if self._connected_since is None:
            self._connected_since = now
        return now - self._connected_since >= runs_settings().LEASE_SECONDS

    def _do(self, what: str, action: Callable[[], int]) -> None:
        if count := action():
            logger.info("%s: %s", what, count)
