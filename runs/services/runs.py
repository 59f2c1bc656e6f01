"""Reading runs: always within what the caller may see."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from runs.errors import InvalidRequest, RunNotFound, ThreadNotFound
from runs.models import Run, Thread
from runs.prepared import steady
from runs.statements import Select, Statement, execute
from runs.states import RunStatus

DEFAULT_LIMIT = 100
#: As `visible_to` shows it to everyone: clients ask for one run again and again, until it has ended.
_SHOWN = Select(
    Run,
    "WHERE id = %s AND (deleted_at IS NULL) IS TRUE AND EXISTS ("
    "SELECT FROM runs_thread WHERE id = runs_run.thread_id AND (runs_thread.deleted_at IS NULL) IS TRUE)",
)

#: Of several threads; which of them are in flight is seen afterwards.
_UNSETTLED = Select(
    Run,
    "WHERE thread_id = ANY(%s) AND (status IN ('pending', 'running') OR leased)",
    only=("thread_id", "status", "attempt", "sequence", "not_before"),
)
_CLOCK = Statement("SELECT clock_timestamp()", kept=True)


def get_run(*, run_id: UUID, owner: Any, thread_id: UUID | None = None) -> Run:
    """Return the run, or raise RunNotFound: a stranger's run looks exactly like a missing one."""
    _, rows = execute(steady(), _SHOWN(run_id))
    run = next(iter(_SHOWN.load(rows)), None)
    if run is None or (owner is not None and run.owner_id != owner.pk):
        raise RunNotFound
    if thread_id is not None and run.thread_id != thread_id:
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
    runs = Run.objects.of_thread(thread_id, owner)
    if status is not None:
        runs = runs.filter(status=status)
    return list(runs.newest_first()[offset : offset + limit])


def has_inflight(*, thread_id: UUID, owner: Any = None) -> bool:
    """Return whether a run of the thread is pending or running; a stopping one is not."""
    return Run.objects.visible_to(owner).filter(thread_id=thread_id).in_flight().exists()


def queue_position(run: Run) -> int | None:
    """Return how many runs of the thread go before this pending run; None if it does not wait any more."""
    return queue_positions(run.thread_id).get(run.pk) if run.status == RunStatus.PENDING else None


def queue_positions(thread_id: UUID) -> dict[UUID, int]:
    """Return `queue_position` of every pending run of the thread, in one statement."""
    return queue_positions_of([thread_id])


def queue_positions_of(thread_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return `queue_position` of every pending run of these threads, in one statement.

    A scheduled run holds nobody back: whatever is due goes before it. A stopping one is read with them, or the index
    of what is unsettled would not do.
    """
    if not thread_ids:
        return {}
    _, rows, [(now,)] = execute(steady(), _UNSETTLED(list(thread_ids)), _CLOCK)
    found = [run for run in _UNSETTLED.load(rows) if run.is_in_flight]
    places: dict[UUID, int] = {}
    before: Counter[UUID] = Counter()
    for run in sorted(found, key=lambda run: (run.thread_id, *run.queue_key(now))):
        if run.status == RunStatus.PENDING:
            places[run.pk] = before[run.thread_id]
        before[run.thread_id] += 1
    return places
