"""Draining a worker: it finishes what it executes, claims nothing more and stays alive, until it is resumed."""

import logging
from uuid import UUID

from django.db import transaction

from runs import dispatch
from runs.actors import Actor
from runs.errors import WorkerGone
from runs.locks import lock_run_of_thread, lock_worker
from runs.models import ClockTimestamp, Worker
from runs.services.transition import dispatch_next
from runs.transactions import atomic

logger = logging.getLogger(__name__)


@atomic()
def drain_worker(*, worker_id: UUID, actor: Actor, reason: str = "") -> bool:
    """Have the worker claim nothing more; False: it is drained already, and the first who asked for it stays.

    When this has returned no claim of the worker wins any more: those that were under way have ended before. Its
    process is told to stop taking messages, which may come late; what it is sent until then goes to another worker.
    Raises WorkerNotFound, WorkerGone.
    """
    worker = _lock_living(worker_id)
    if worker.draining_at is not None:
        return False
    Worker.objects.filter(pk=worker_id).update(draining_at=ClockTimestamp(), draining_by=actor.name)
    _tell(worker, "drained", actor, reason)
    return True


@atomic()
def resume_worker(*, worker_id: UUID, actor: Actor, reason: str = "") -> bool:
    """Have a drained worker take runs again; False: it was not drained. Raises WorkerNotFound, WorkerGone."""
    worker = _lock_living(worker_id)
    if worker.draining_at is None:
        return False
    Worker.objects.filter(pk=worker_id).update(draining_at=None, draining_by="")
    _tell(worker, "resumed", actor, reason)
    return True


@atomic()
def hand_over(run_id: UUID) -> None:
    """Publish what may be claimed now on the run's thread, for other workers: this one was refused its claim."""
    found = lock_run_of_thread(run_id)
    if found is not None:
        logger.info("run %s reached a drained worker and goes to another one", run_id)
        dispatch_next(found[0])


def _lock_living(worker_id: UUID) -> Worker:
    worker = lock_worker(worker_id)
    if worker.buried_at is not None:
        raise WorkerGone
    return worker


def _tell(worker: Worker, done: str, actor: Actor, reason: str) -> None:
    dispatch.read_row_on_commit(worker.pk)
    said = f"worker {worker.pk} ({worker.host}) was {done} by {actor.name}: {reason or 'no reason given'}"
    transaction.on_commit(lambda: logger.warning("%s", said))
