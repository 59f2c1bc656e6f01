"""The Celery tasks: they carry ids and present outcomes; what happens is in `runs.execution`."""

from typing import Any
from uuid import UUID

from celery import Task, shared_task
from celery.exceptions import Ignore

from runs import registrar  # noqa: F401 - a worker that starts calls it
from runs.dispatch import EXECUTE_RUN
from runs.execution.delivery import execute
from runs.execution.endings import Ending
from runs.execution.loops.messages import RunFailed
from runs.execution.worker import current_slot

__all__ = ["RunFailed", "execute_run"]


@shared_task(bind=True, name=EXECUTE_RUN, throws=(RunFailed,))
def execute_run(self: "Task[Any, Any]", run_id: str) -> str:
    """Claim and execute the run. A delivery that loses its claim is forgotten: nothing depends on it."""
    ending, run = execute(UUID(run_id), current_slot())
    if ending == Ending.ERROR and run is not None:
        raise RunFailed(f"{run.assistant}: see the run")
    if ending == Ending.STOPPED:
        self.send_event("task-revoked", terminated=True, signum=None, expired=False)
    if ending in (Ending.STOPPED, Ending.LOST_CLAIM):
        raise Ignore
    return ending
