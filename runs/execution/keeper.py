"""The lease keeper in a worker's main process: renews one row for all runs the worker holds, and acts on what it reads.

It never executes assistant code, so a child that blocks, or a slow transaction of a child, costs nobody the lease.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Collection, Sequence
from functools import partial
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection, transaction

from runs.actors import Actor, system
from runs.conf import runs_settings
from runs.errors import NotCancellable, RunNotFound
from runs.execution.clerk import Clerk
from runs.execution.consumption import Consumption
from runs.execution.exits import Exit, departures
from runs.execution.observer import Handlers, Observer
from runs.execution.slots import Execution, Order, SlotTable
from runs.heartbeats import Heart
from runs.locks import lock_held_run
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.services.lifecycle import executor_gone, time_out_run
from runs.services.workers import HeldRun, register_worker, renew_worker, retire_worker
from runs.states import PROCESS_EXITED, CancelAction, Departure, RunStatus

logger = logging.getLogger(__name__)

ACTOR = system("worker")
REMOTE_CONTROL = Actor("remote control")
ORDERS = {RunStatus.TIMEOUT: Order.TIMED_OUT}


class Keeper:
    """Registers the worker, renews its lease, settles what its children leave behind."""

    def __init__(self, table: SlotTable, consumption: Consumption, *, host: str, version: str, capacity: int) -> None:
        self._table, self._consumption = table, consumption
        self._identity = {"host": host, "version": version}
        self._capacity = capacity
        #: The life that this process has lost, if it has.
        self._former: UUID | None = None
        #: Processes that were killed, and for which of the attempts that they executed.
        self._killed_for: dict[int, Execution] = {}
        self._clerk = Clerk()
        self._heart = Heart("worker")
        handlers = Handlers(
            exited=self._exited, overdue=self._overdue, grace_over=self._grace_over, refused=self.read_row
        )
        self._observer = Observer(table, handlers)
        self._stopped, self._urged = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="runs-keeper", daemon=True)

    def start(self) -> None:
        self._clerk.start()
        self._observer.start()
        self._thread.start()

    def begin_shutdown(self) -> None:
        """Let attempts finish for a while, then hand them back to other workers."""
        self._table.mark_shutting_down()
        self._observer.shut_down_at(time.monotonic() + runs_settings().SOFT_SHUTDOWN_SECONDS)

    def stop(self) -> None:
        """End the worker's life: settle what has exited, and let the scheduler have the rest at once."""
        self._stopped.set()
        self._urged.set()
        self._thread.join(2.0)
        self._observer.stop()
        worker_id = self._table.worker_id
        if worker_id is not None:
            self._clerk.submit("retire", lambda: retire_worker(worker_id))
        self._clerk.stop(5.0)
        self._heart.stop()

    # What the control commands ask for

    def interrupt(self, run_id: UUID, attempt: int, status: str) -> bool:
        """Stop this attempt if it is executed here; its row says so already."""
        order = Order.TIMED_OUT if status == RunStatus.TIMEOUT else Order.CANCELLED
        return self._observer.interrupt(run_id, attempt, order)

    def force_stop(self, run_id: UUID, attempt: int) -> None:
        """Kill the process that executes this attempt, without waiting for the grace period."""
        for execution in self._table.find(run_id):
            if execution.attempt == attempt:
                self._kill(execution, Order.CANCELLED)

    def is_worker(self, worker_id: str) -> bool:
        """Whether this is the worker's id in its present life."""
        return worker_id == str(self._table.worker_id)

    def read_row(self) -> None:
        """Renew now: the worker's row says something new."""
        self._urged.set()

    def cancel_from_outside(self, run_id: UUID, *, force: bool) -> None:
        """Turn an outside revoke into a cancel, off the consumer's loop and retried while the database is away."""
        self._clerk.submit(f"outside revoke of {run_id} (force: {force})", lambda: self._cancel(run_id, force))

    def executes(self, run_id: UUID) -> bool:
        """Whether a child of this worker executes the run."""
        return bool(self._table.find(run_id))

    def _cancel(self, run_id: UUID, force: bool) -> None:
        """One unlocked read first: a revoke reaches every worker, and most of them are late."""
        run = Run.objects.filter(pk=run_id).only("status", "leased", "attempt").first()
        if run is None or not (run.is_in_flight or (force and run.leased)):
            return
        try:
            run = cancel_run(run_id=run_id, actor=REMOTE_CONTROL, action=CancelAction.INTERRUPT, force=force)
        except (NotCancellable, RunNotFound):
            return
        if force:
            self.force_stop(run_id, run.attempt)
        else:
            self._observer.interrupt(run_id, run.attempt, Order.CANCELLED)

    # The lease

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._urged.clear()  # first: what is asked for from now on was not read yet
            self._heart.beat(lease=self._table.lease_confirmed)
            try:
                self._live()
            except (DatabaseError, InterfaceError):
                connection.close()
                logger.warning("the lease was not renewed; trying again", exc_info=True)
            except Exception:
                logger.exception("the lease keeper stumbled; it goes on")
            self._urged.wait(runs_settings().RENEW_SECONDS if self._table.lease_confirmed else 0.5)
        connection.close()

    def _live(self) -> None:
        worker_id = self._table.worker_id
        if worker_id is None:
            self._begin_life()
            return
        asked_at = time.monotonic()
        renewal = renew_worker(worker_id)
        if renewal is None:
            self._be_buried(worker_id)
            return
        self._table.confirm_lease(asked_at + runs_settings().LEASE_SECONDS)
        self._consumption.want(not renewal.draining)
        executed = self._table.attempts()  # read after the database, so nothing is missed
        for run in renewal.held:
            self._look_at(run, worker_id, executed.get(run.run_id, ()))

    def _begin_life(self) -> None:
        """Only when nothing of an earlier life is executed any more; who is about to claim waits for the new one."""
        if any(execution.attempt for execution in self._table.executions()):
            self._observer.interrupt_all(Order.FENCED)
            return
        asked_at = time.monotonic()
        worker = register_worker(**self._identity, capacity=self._capacity, former=self._former)
        self._table.confirm_lease(asked_at + runs_settings().LEASE_SECONDS)
        self._table.begin_life(worker.pk)
        self._consumption.want(worker.draining_at is None)

    def _be_buried(self, worker_id: UUID) -> None:
        logger.error("worker %s was buried: its lease had run out; its runs are stopped here", worker_id)
        self._former = worker_id
        self._table.end_life()
        self._observer.interrupt_all(Order.FENCED)

    def _look_at(self, held: HeldRun, worker_id: UUID, attempts: Collection[int]) -> None:
        """Act on what a renewal says of a run. `attempts`: what the children are at; 0: its claim."""
        if not {0, held.attempt}.intersection(attempts):
            self._settle(held.run_id, held.attempt, worker_id, Departure.CRASH, "nothing executes it")
        elif held.status != RunStatus.RUNNING:
            self._observer.interrupt(held.run_id, held.attempt, ORDERS.get(held.status, Order.CANCELLED))
        elif held.overdue:
            self._time_out(held.run_id, held.attempt)

    # What the observer has seen

    def _exited(self, exits: Sequence[Exit]) -> None:
        """A child has exited with attempts: settle them. A row knows whether it had been settled already."""
        worker_id = self._table.worker_id
        if worker_id is None or not exits:
            return
        killed_for = self._killed_for.pop(exits[0].execution.pid, None)
        for execution, departure in departures(exits, killed_for=killed_for, shutting_down=self._table.shutting_down):
            detail = PROCESS_EXITED.format(pid=execution.pid)
            if execution.attempt:
                self._settle(execution.run_id, execution.attempt, worker_id, departure, detail)
            else:
                claim = partial(self._settle_claim, execution.run_id, worker_id, departure, detail)
                self._clerk.submit(f"claim of {execution.run_id}", claim)

    def _settle_claim(self, run_id: UUID, worker_id: UUID, departure: Departure, detail: str) -> None:
        """The child died at its claim: only the row knows whether the claim was committed.

        If another child is at the same run the claim may be its; the next renewal will tell.
        """
        held = Run.objects.filter(pk=run_id, leased=True, worker_id=worker_id)
        attempt = held.values_list("attempt", flat=True).first()
        if attempt is not None and not self._table.find(run_id):
            self._settle(run_id, attempt, worker_id, departure, detail)

    def _settle(self, run_id: UUID, attempt: int, worker_id: UUID, departure: Departure, detail: str) -> None:
        def job() -> None:
            executor_gone(
                run_id=run_id, attempt=attempt, worker_id=worker_id, departure=departure, actor=ACTOR, detail=detail
            )

        self._clerk.submit(f"hand-back of {run_id}/{attempt}", job)

    def _overdue(self, execution: Execution) -> None:
        self._time_out(execution.run_id, execution.attempt)

    def _time_out(self, run_id: UUID, attempt: int) -> None:
        """The row first; then the same interruption as a cancel."""

        def job() -> None:
            if time_out_run(run_id=run_id, attempt=attempt, actor=ACTOR) is not None:
                self._observer.interrupt(run_id, attempt, Order.TIMED_OUT)

        self._clerk.submit(f"time-out of {run_id}/{attempt}", job)

    def _grace_over(self, execution: Execution, order: Order) -> None:
        self._kill(execution, order)

    def _kill(self, execution: Execution, order: Order) -> None:
        self._clerk.submit(f"kill of {execution.run_id}/{execution.attempt}", lambda: self._kill_now(execution, order))

    def _kill_now(self, execution: Execution, order: Order) -> None:
        """Kill the process that executes this attempt, and no other.

        While the run's row is locked and still leased, the attempt cannot end: so its process cannot have gone on to
        another run. A fenced attempt has no row of its own any more; its process cannot claim another run either.
        """
        worker_id = self._table.worker_id
        if order == Order.FENCED or worker_id is None:
            self._signal_kill(execution)
            return
        with transaction.atomic():
            if lock_held_run(execution.run_id, execution.attempt, worker_id) is not None:
                self._signal_kill(execution)

    def _signal_kill(self, execution: Execution) -> None:
        now = self._table.slots[execution.index].execution()
        if now is None or (now.pid, now.run_id, now.attempt) != (execution.pid, execution.run_id, execution.attempt):
            return
        logger.warning("killing process %s: it did not leave run %s", execution.pid, execution.run_id)
        self._killed_for[execution.pid] = execution
        with contextlib.suppress(ProcessLookupError):  # it has exited; the observer will say so
            os.kill(execution.pid, signal.SIGKILL)
