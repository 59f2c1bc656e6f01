"""Actions on many runs: a dry count, then portions of BATCH that the page asks for one after the other.

The page drives: so there is progress, a button that stops, and nothing that goes on when the operator has gone.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, JsonResponse, QueryDict
from django.views.decorators.http import require_POST

from runs.actors import Actor
from runs.admin.base import COUNT_AT_MOST, as_uuid
from runs.admin.run_actions import ACTIONS, LONGEST_REASON, Action, Order, Result, carry_out
from runs.admin.run_counts import as_text, count_each
from runs.admin.run_filters import RunFilter
from runs.admin.run_list import parse_place, place_of
from runs.admin.run_scan import older_than
from runs.models import Run
from runs.states import CancelAction, RunStatus

BATCH = 100
MOST_SELECTED = 200
_WORDS_SHOWN = 5


def explained(view: Callable[[HttpRequest, str], JsonResponse]) -> Callable[[HttpRequest, str], JsonResponse]:
    """Tell the page in JSON what is wrong with what it asks for."""

    @wraps(view)
    def explaining(request: HttpRequest, verb: str) -> JsonResponse:
        try:
            return view(request, verb)
        except BadRequest as error:
            return JsonResponse({"detail": str(error)}, status=400)

    return explaining


@require_POST
@explained
def count(request: HttpRequest, verb: str) -> JsonResponse:
    """How many runs the action would reach now, and how many of the chosen ones it cannot be done to."""
    action = _action(request, verb)
    chosen = _chosen(request)
    reached = chosen.filter(action.possible)
    counts = count_each([reached, reached.filter(status=RunStatus.RUNNING), reached.filter(status=RunStatus.PENDING)])
    if counts is None:
        raise BadRequest("Counting these runs takes too long. Narrow the filter, for example by time.")
    all_of_them, running, pending = counts
    return JsonResponse(
        {
            "count": all_of_them,
            "shown": as_text(all_of_them),
            "more": all_of_them >= COUNT_AT_MOST,
            "running": as_text(running),
            "pending": as_text(pending),
        }
    )


@require_POST
@explained
def perform(request: HttpRequest, verb: str) -> JsonResponse:
    """Do it to the next portion of the chosen runs, newest first, and say where to go on; `next` empty: that was all.

    What is created meanwhile is newer than where it goes on, and so is never reached.
    """
    action = _action(request, verb)
    runs, rest = _portion(_chosen(request).filter(action.possible), request.POST.get("after", ""))
    order = _order(request)
    user: Any = request.user
    results = [(run, carry_out(action, run, order, user_id=user.pk)) for run in runs]
    return JsonResponse({**_summary(results), "next": place_of(runs[-1]) if rest else ""})


def _action(request: HttpRequest, verb: str) -> Action:
    action = ACTIONS.get(verb)
    if action is None:
        raise Http404
    if not action.allowed(request):
        raise PermissionDenied
    return action


def _chosen(request: HttpRequest) -> QuerySet[Run]:
    """The runs that are named, or those that match the filter, which must ask for something.

    What a deletion has hidden is shown to operators, and is to every action as if it were gone.
    """
    there = Run.objects.visible_to(None)
    if "filter" not in request.POST:
        return there.filter(pk__in=_named(request.POST.getlist("run")))
    wanted = RunFilter.parse(QueryDict(request.POST["filter"].lstrip("?")))
    if wanted.mistakes:
        raise BadRequest(" ".join(wanted.mistakes))
    if not wanted.is_explicit:
        raise BadRequest("Choose a filter first: without one this would reach every run there is.")
    return wanted.runs(among=there)


def _named(texts: list[str]) -> list[UUID]:
    named = [pk for text in texts if (pk := as_uuid(text))]
    if not named or len(named) != len(texts):
        raise BadRequest("Select the runs first.")
    if len(named) > MOST_SELECTED:
        raise BadRequest(f"At most {MOST_SELECTED} runs can be named; use a filter.")
    return named


def _portion(runs: QuerySet[Run], after: str) -> tuple[list[Run], bool]:
    if after:
        place = parse_place(after)
        if place is None:
            raise BadRequest("It is not clear where to go on.")
        runs = runs.filter(older_than(*place))
    found = list(runs.only("pk", "sequence", "created_at").newest_first()[: BATCH + 1])  # type: ignore[attr-defined]
    return found[:BATCH], len(found) > BATCH


def _order(request: HttpRequest) -> Order:
    name = operator_of(request)
    reason = " ".join(request.POST.get("reason", "").split())
    if "\x00" in reason or len(reason) > LONGEST_REASON:
        raise BadRequest(f"A reason is text of at most {LONGEST_REASON} characters.")
    how = request.POST.get("how", CancelAction.INTERRUPT)
    if how not in CancelAction.values:
        raise BadRequest("How to cancel is not clear: interrupt or rollback.")
    request_id = request.META.get("HTTP_X_REQUEST_ID", "")  # see runs.api.request_id
    actor = Actor(name=name, request_id=request_id)
    return Order(actor=actor, reason=reason or f"by {name}", cancel_action=CancelAction(how))


def operator_of(request: HttpRequest) -> str:
    """The name of the operator in the histories of runs."""
    return f"operator:{request.user.get_username()}"


def _summary(results: list[tuple[Run, Result]]) -> dict[str, Any]:
    refused = [f"{run.pk}: {result.words}" for run, result in results if not result.done]
    return {
        "done": sum(result.done for _, result in results),
        "refused": len(refused),
        "why": refused[:_WORDS_SHOWN],
        "new_runs": [result.new_run for _, result in results if result.new_run][:_WORDS_SHOWN],
    }
