"""What operators do to workers: drain and resume them. Each goes through its service and is logged for the operator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from runs.actors import Actor
from runs.admin.run_actions import LONGEST_REASON
from runs.admin.run_bulk import operator_of
from runs.errors import RunError
from runs.locks import bounded_lock_waits, is_lock_timeout
from runs.models import Worker
from runs.services.draining import drain_worker, resume_worker


@dataclass(frozen=True)
class WorkerAction:
    """An action: its words, and the service that does it, which says whether it has changed anything."""

    name: str
    title: str
    #: What is done, after "by": the operator's name.
    done: str
    #: A sentence for the dialog.
    explanation: str
    #: Why nothing was changed.
    unchanged: str
    perform: Callable[..., bool]


DRAIN = WorkerAction(
    name="drain",
    title="Drain",
    done="drained",
    explanation="The worker finishes what it executes and takes no other runs. It stays alive until somebody resumes "
    "or stops it; a restart of it takes runs again.",
    unchanged="It was drained before.",
    perform=drain_worker,
)
RESUME = WorkerAction(
    name="resume",
    title="Resume",
    done="resumed",
    explanation="The worker takes runs again.",
    unchanged="It was not drained.",
    perform=resume_worker,
)
ACTIONS = {action.name: action for action in (DRAIN, RESUME)}


def may_drain(request: HttpRequest) -> bool:
    """Whether the visitor may drain and resume workers, which includes seeing them."""
    return request.user.has_perms(["runs.view_worker", "runs.drain_worker"])


def action_for(worker: Worker) -> WorkerAction | None:
    """What can be done to the worker; None: its life has ended."""
    if worker.buried_at is not None:
        return None
    return DRAIN if worker.draining_at is None else RESUME


@require_POST
def act(request: HttpRequest, worker_id: UUID, verb: str) -> HttpResponse:
    """Do it, say what became of it, and return to the worker, or with `back` to the list."""
    if not may_drain(request):
        raise PermissionDenied
    _carry_out(request, worker_id, ACTIONS[verb])
    if "back" in request.POST:
        return redirect("admin:runs_worker_changelist")
    return redirect("admin:runs_worker_change", worker_id)


def _carry_out(request: HttpRequest, worker_id: UUID, action: WorkerAction) -> None:
    reason = _reason(request)
    actor = Actor(name=operator_of(request), request_id=request.META.get("HTTP_X_REQUEST_ID", ""))
    try:
        with bounded_lock_waits():
            changed = action.perform(worker_id=worker_id, actor=actor, reason=reason)
    except RunError as error:
        messages.error(request, error.message)
        return
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        messages.error(request, "The worker's row is busy with something else; try again.")
        return
    if not changed:
        messages.info(request, action.unchanged)
        return
    _log(request, worker_id, f"{action.title}: {reason}")
    messages.success(request, f"Worker {worker_id} was {action.done}.")


def _reason(request: HttpRequest) -> str:
    reason = " ".join(request.POST.get("reason", "").split())
    if "\x00" in reason or len(reason) > LONGEST_REASON:
        raise BadRequest(f"A reason is text of at most {LONGEST_REASON} characters.")
    return reason or f"by {operator_of(request)}"


def _log(request: HttpRequest, worker_id: UUID, message: str) -> None:
    user: Any = request.user
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(Worker),
        object_id=str(worker_id),
        object_repr=str(worker_id),
        action_flag=CHANGE,
        change_message=message,
    )
