"""Removing what was deleted, once nothing executes it any more."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from runs.conf import runs_settings
from runs.locks import lock_old_keys, try_lock_keys, try_lock_thread
from runs.models import Checkpoint, ClockTimestamp, Run, StatementTimestamp, SubgraphCheckpoint, Thread
from runs.services.graph_rows import remove_rows_of_run, remove_rows_of_thread
from runs.services.sweep import for_each
from runs.states import OnCompletion
from runs.transactions import atomic

BATCH = 100


def remove_deleted_threads(limit: int = BATCH) -> int:
    """Remove the rows of deleted threads on which nothing is leased; returns how many threads went."""
    leased = Run.objects.leased().filter(thread=OuterRef("pk"))
    gone = Thread.objects.filter(~Exists(leased), ~Exists(_lingering()), deleted_at__isnull=False)
    return for_each(gone.values_list("pk", flat=True)[:limit], _remove_thread)


def _lingering() -> QuerySet[Run]:
    """Stateless runs whose end may still be being read."""
    linger = timedelta(seconds=runs_settings().STATELESS_LINGER)
    just_ended = Run.objects.filter(on_completion=OnCompletion.DELETE, finished_at__gt=ClockTimestamp() - linger)
    return just_ended.filter(thread=OuterRef("pk"))


@atomic()
def _remove_thread(thread_id: UUID) -> bool:
    unbound = _unbind_keys(*Run.objects.filter(thread_id=thread_id).values_list("pk", flat=True))
    locked = try_lock_thread(thread_id) if unbound else None
    if locked is None or locked.runs or locked.thread.deleted_at is None:
        return False
    Thread.objects.filter(pk=thread_id).update(head=None)
    Run.objects.filter(thread_id=thread_id).update(base=None)
    locked.thread.delete()
    remove_rows_of_thread(thread_id)
    return True


def remove_deleted_runs(limit: int = BATCH) -> int:
    """Remove the rows of deleted runs that are settled; their checkpoints stay, the head may be one of them."""
    gone = Run.objects.filter(deleted_at__isnull=False, leased=False, thread__deleted_at=None)
    return for_each(gone.values_list("pk", "thread_id")[:limit], _remove_run)


@atomic()
def _remove_run(run: tuple[UUID, UUID]) -> bool:
    run_id, thread_id = run
    if not _unbind_keys(run_id) or try_lock_thread(thread_id) is None:
        return False
    _remove_given_up_checkpoints(run_id)
    if Run.objects.filter(pk=run_id, rolled_back_at__isnull=False, purged=False).exists():
        remove_rows_of_run(thread_id, run_id)
    removed, _ = Run.objects.filter(pk=run_id, leased=False, deleted_at__isnull=False).delete()
    return bool(removed)


def _remove_given_up_checkpoints(run_id: UUID) -> None:
    """Without their run nothing would say that they were given up, and they could be forked."""
    kept = Checkpoint.objects.forkable().filter(run_id=run_id)
    Checkpoint.objects.filter(run_id=run_id).exclude(pk__in=kept.values("pk")).delete()
    SubgraphCheckpoint.objects.filter(run_id=run_id, run__rolled_back_at__isnull=False).delete()


def purge_rolled_back_runs(limit: int = BATCH) -> int:
    """Remove what LangGraph has stored of runs that were rolled back and are settled; it is invisible already."""
    given_up = Run.objects.filter(rolled_back_at__isnull=False, purged=False, leased=False)
    return for_each(given_up.values_list("pk", "thread_id")[:limit], _purge_run)


@atomic()
def _purge_run(run: tuple[UUID, UUID]) -> bool:
    run_id, thread_id = run
    if try_lock_thread(thread_id) is None:
        return False
    remove_rows_of_run(thread_id, run_id)
    SubgraphCheckpoint.objects.filter(run_id=run_id).delete()
    return bool(Run.objects.filter(pk=run_id, purged=False).update(purged=True))


def _unbind_keys(*run_ids: UUID) -> bool:
    """Whoever removes runs locks their keys before the thread, as a create does; False: somebody else holds one."""
    keys = try_lock_keys(*run_ids)
    if keys is None:
        return False
    keys.update(run=None)
    return True


def forget_idempotency_keys() -> int:
    """Forget the keys that are older than they are remembered for."""
    forgotten = 0
    while batch := _forget_keys(limit=1000):
        forgotten += batch
    return forgotten


@atomic()
def _forget_keys(limit: int) -> int:
    age = timedelta(seconds=runs_settings().IDEMPOTENCY_SECONDS)
    removed, _ = lock_old_keys(StatementTimestamp() - age, limit).delete()
    return removed
