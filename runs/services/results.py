"""What a run left behind, and how far it is: for those who wait for it."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from runs.errors import RunNotFound
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


def get_result(run_id: UUID) -> dict[str, Any]:
    """Return what a terminal run answers: the state it ended with, or {"__error__"} if it failed.

    For somebody who has been let in before: a run that was hidden meanwhile still answers. Raises RunNotFound.
    """
    run = Run.objects.select_related("base", "thread__head").filter(pk=run_id).first()
    if run is None:
        raise RunNotFound
    if run.status in FAILED:
        return {"__error__": present_error(run.error or {"type": run.status, "message": run.reason})}
    return final_values(run)


def final_values(run: Run) -> dict[str, Any]:
    """Its last step that was kept, else what it found: its own state, which a later run does not change."""
    own = Checkpoint.objects.forkable().filter(run=run).order_by("-step").first()
    found = own or (run.base if run.attempt else run.thread.head)
    if found is None:
        return {}
    pending = [{"response_schema": None, **item} for items in found.interrupts.values() for item in items]
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
