"""One delivery of a run's message to a pool child: wait until it may be claimed, claim it, execute the attempt."""

import os
import time
from uuid import UUID

from runs.errors import WorkerDraining
from runs.execution.attempt import LOOK_EVERY_SECONDS, AttemptExecutor
from runs.execution.connections import (
    check_executors_connection,
    executors_connection,
    forget_assistants_connections,
)
from runs.execution.endings import Ending
from runs.execution.interruption import install_handlers
from runs.execution.observation import observed
from runs.execution.refusal import handed_over
from runs.execution.slots import Slot
from runs.models import Run
from runs.services.lifecycle import claim_run

CLAIM_WAIT_SECONDS = 30.0


def execute(run_id: UUID, slot: Slot) -> tuple[Ending, Run | None]:
    """Claim the run and execute one attempt of it in this process; the slot says so from before to after."""
    install_handlers()
    pid = os.getpid()
    _wait_until_free(slot, pid)
    with slot.occupied(pid, run_id):
        run, worker_id = _take(run_id, slot)
        if run is None or worker_id is None:
            return Ending.LOST_CLAIM, None
        slot.begin(pid, run_id, run.attempt, time.monotonic() + run.timeout_seconds)
        with observed(run):
            return AttemptExecutor(run, worker_id, slot).execute(), run


def _take(run_id: UUID, slot: Slot) -> tuple[Run | None, UUID | None]:
    """The claimed run and its worker. A drained worker's child hands it over instead."""
    while (worker_id := _wait_for_life(slot)) is not None:
        try:
            return _claim(run_id, worker_id), worker_id
        except WorkerDraining:
            if handed_over(run_id, slot):
                break
    return None, None


def _claim(run_id: UUID, worker_id: UUID) -> Run | None:
    """Not repeated if its answer is lost: the next renewal settles a claim that nobody executes."""
    forget_assistants_connections()
    check_executors_connection()
    with executors_connection():
        return claim_run(run_id=run_id, worker_id=worker_id)


def _wait_until_free(slot: Slot, pid: int) -> None:
    """A predecessor that died here must be seen by the main process before its slot is written over."""
    deadline = time.monotonic() + CLAIM_WAIT_SECONDS
    while (left_by := slot.execution()) is not None and left_by.pid != pid and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_SECONDS)


def _wait_for_life(slot: Slot) -> UUID | None:
    """The worker row is written while the pool starts, and anew after a burial, which only an expiry can precede."""
    table, deadline = slot.table, time.monotonic() + CLAIM_WAIT_SECONDS
    while time.monotonic() < deadline:
        if table.worker_id is not None and table.lease_confirmed:
            return table.worker_id
        time.sleep(LOOK_EVERY_SECONDS)
    return None
