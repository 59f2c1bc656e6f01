"""Reading runs: always within what the caller may see."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from runs.errors import InvalidRequest, RunNotFound, ThreadNotFound
from runs.models import Run, Thread
from runs.states import IN_FLIGHT, RunStatus

DEFAULT_LIMIT = 100


def get_run(*, run_id: UUID, owner: Any, thread_id: UUID | None = None) -> Run:
    """Return the run, or raise RunNotFound: a stranger's run looks exactly like a missing one."""
    found = Run.objects.visible_to(owner).filter(pk=run_id)
    if thread_id is not None:
        found = found.filter(thread_id=thread_id)
    run = found.first()
    if run is None:
        raise RunNotFound
    return run


def list_runs(
    *, thread_id: UUID, owner: Any, status: RunStatus | None = None, limit: int = DEFAULT_LIMIT, offset: int = 0
) -> Sequence[Run]:
    """Return the thread's runs, newest first by (created, sequence). Raises ThreadNotFound, InvalidRequest."""
    if limit < 0 or offset < 0:
        raise InvalidRequest("limit and offset must not be negative")
    if not Thread.objects.visible_to(owner).filter(pk=thread_id).exists():
        raise ThreadNotFound
    runs = Run.objects.visible_to(owner).filter(thread_id=thread_id)
    if status is not None:
        runs = runs.filter(status=status)
    return list(runs.newest_first()[offset : offset + limit])


def has_inflight(*, thread_id: UUID, owner: Any = None) -> bool:
    """Return whether a run of the thread is pending or running; a stopping one is not."""
    return Run.objects.visible_to(owner).filter(thread_id=thread_id).in_flight().exists()


def queue_position(run: Run) -> int | None:
    """Return how many runs of the thread go before this pending run; None if it does not wait any more."""
    if run.status != RunStatus.PENDING:
        return None
    others = Run.objects.filter(thread_id=run.thread_id, status__in=sorted(IN_FLIGHT)).exclude(pk=run.pk)
    begun = others.filter(attempt__gte=1).count()
    earlier = others.filter(attempt=0, sequence__lt=run.sequence).count()
    return earlier + begun if run.attempt == 0 else 0


def queue_positions(thread_id: UUID) -> dict[UUID, int]:
    """Return `queue_position` of every pending run of the thread, in one statement."""
    in_flight = Run.objects.filter(thread_id=thread_id).in_flight().values_list("pk", "status", "attempt", "sequence")
    queue = sorted(in_flight, key=lambda run: (run[2] == 0, run[3]))
    return {pk: place for place, (pk, status, _, _) in enumerate(queue) if status == RunStatus.PENDING}
