"""The scheduler: repairs everything that a crash can leave behind. Needs only PostgreSQL; any number may run."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from runs import dispatch
from runs.conf import runs_settings
from runs.heartbeats import Heart
from runs.sentinel import Sentinel
from runs.services import recover, retention
from runs.services.graph_rows import remove_expired_items

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 60.0
NAP_SECONDS = 0.2
#: What is no silence of the database, however short the lease.
SILENCE_SECONDS = 1.0

Action = tuple[str, Callable[[], int]]


@dataclass
class Scheduler:
    """One process's sweeps. Buries a worker only after the database has answered it for one lease time: after an
    outage, or a standstill, of the database or of this process, the workers get their chance to renew first."""

    #: Set to end `run`. A plain flag: a signal handler must not touch an Event that its own thread waits for.
    stopped: bool = False
    sentinel: Sentinel = field(default_factory=Sentinel)
    _heart: Heart = field(default_factory=lambda: Heart("scheduler"))
    _connected_since: float | None = None
    #: When the database last answered, or nobody asked it.
    _heard_at: float = 0.0
    _housekeeping_at: float = 0.0

    def run(self) -> None:
        """Sweep until stopped."""
        while not self.stopped:
            self.sweep()
            self._heart.beat()
            self._pause()
        self._heart.stop()
        connection.close()

    def sweep(self) -> None:
        """Do everything once. What fails is logged and left to the next sweep.

        A lost connection ends the sweep and starts the wait before burials anew.
        """
        self._heard_at = time.monotonic()
        with connection.execute_wrapper(self._listen):
            self._sweep()

    def _sweep(self) -> None:
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
        yield "purged rolled back runs", retention.purge_rolled_back_runs
        if time.monotonic() >= self._housekeeping_at:
            self._housekeeping_at = time.monotonic() + HOUSEKEEPING_SECONDS
            yield "forgot idempotency keys", retention.forget_idempotency_keys
            yield "removed what graphs had stored for a time", remove_expired_items

    def _bury(self) -> int:
        connection.ensure_connection()
        if self._connected_since is None:
            self._connected_since = time.monotonic()
        return recover.bury_expired_workers(may_bury=self._may_bury)

    def _may_bury(self) -> bool:
        """Asked again before each burial: the database may have stood still while it was asked who has expired."""
        since = self._connected_since
        return since is not None and time.monotonic() - since >= runs_settings().LEASE_SECONDS

    def _listen(self, execute: Callable[..., Any], *statement: Any) -> Any:
        try:
            return execute(*statement)
        finally:
            self._hear()

    def _hear(self) -> None:
        """Note that the database has answered. In a silence of half a lease no worker may have been able to renew."""
        now = time.monotonic()
        if now - self._heard_at > max(runs_settings().LEASE_SECONDS / 2, SILENCE_SECONDS):
            self._connected_since = None
        self._heard_at = now

    def _forget_dispatches(self) -> int:
        """The sentinel is told after the commit: a crash in between costs a second forgetting, not the first."""
        if not self.sentinel.broker_may_have_lost_messages():
            return 0
        forgotten = recover.forget_dispatches()
        self.sentinel.reset()
        dispatch.broker_is_back()
        return forgotten

    def _pause(self) -> None:
        self._heard_at = time.monotonic()
        until = self._heard_at + runs_settings().SWEEP_SECONDS
        while not self.stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECONDS))
            self._hear()
