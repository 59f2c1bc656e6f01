"""What a run left behind, and how far it is: for those who wait for it."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from runs.models import Checkpoint, Run
from runs.services.transition import present_error
from runs.states import FAILED, RunStatus


def is_finished(run_id: UUID) -> bool:
    """Return whether the run is terminal, or has gone altogether."""
    run = _phase(run_id)
    return run is None or run.is_terminal


def is_settled(run_id: UUID) -> bool:
    """Return whether the run is terminal and nothing executes it any more, or has gone altogether."""
    run = _phase(run_id)
    return run is None or run.is_settled


def _phase(run_id: UUID) -> Run | None:
    return Run.objects.filter(pk=run_id).only("status", "leased").first()


def failure(run: Run) -> dict[str, Any] | None:
    """Return {"error", "message"} of a run that failed or ran out of time."""
    return present_error(run.error or {"type": run.status}) if run.status in FAILED else None


def final_values(run: Run) -> dict[str, Any]:
    """Return the state a terminal run ended with: its last step that was kept, else what it found.

    Its own state, not the thread's: a later run does not change the answer.
    """
    own = Checkpoint.objects.forkable().filter(run=run).order_by("-step").first()
    found = own or (run.base if run.attempt else run.thread.head)
    if found is None:
        return {}
    pending = [item for items in found.interrupts.values() for item in items]
    return {**found.values, "__interrupt__": pending} if pending else dict(found.values)


def exist(
    *, owner: Any, thread_id: UUID | None, run_ids: Collection[UUID] | None, statuses: Collection[RunStatus]
) -> bool:
    """Return whether the caller has any such run."""
    found = Run.objects.visible_to(owner)
    if run_ids is None:
        found = found.filter(status__in=list(statuses))
    else:
        found = found.filter(thread=thread_id, pk__in=list(run_ids))
    return found.exists()
