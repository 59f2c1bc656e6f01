"""Actions on many runs: a dry count, then portions of BATCH that the page asks for one after the other.

The page drives: so there is progress, a button that stops, and nothing that goes on when the operator has gone.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, JsonResponse, QueryDict
from django.views.decorators.http import require_POST

from runs.actors import Actor
from runs.admin.base import COUNT_AT_MOST, as_uuid
from runs.admin.run_actions import ACTIONS, LONGEST_REASON, Action, Order, Result, carry_out
from runs.admin.run_counts import as_text, count_each
from runs.admin.run_filters import SEARCH, RunFilter
from runs.admin.run_list import parse_place, place_of, place_of_bound
from runs.admin.run_scan import Bound, older_than
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
    """How many runs the action would reach now, what was understood, and up to where was looked: `bound`, which each
    portion gives back."""
    action = _action(request, verb)
    wanted = _wanted(request)
    reached = _chosen(request, wanted).filter(action.possible)
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
            "understood": _understood(wanted) if wanted else "",
            "bound": place_of_bound(wanted.bound) if wanted and wanted.bound else "",
        }
    )


@require_POST
@explained
def perform(request: HttpRequest, verb: str) -> JsonResponse:
    """Do it to the next portion of the chosen runs, newest first, and say where to go on; `next` empty: that was all.

    What is created meanwhile is newer than where it goes on, and so is never reached.
    """
    action = _action(request, verb)
    runs, next_place = _portion(request, action.possible)
    order = _order(request)
    user: Any = request.user
    results = [(run, carry_out(action, run, order, user_id=user.pk)) for run in runs]
    return JsonResponse({**_summary(results), "next": next_place})


def _action(request: HttpRequest, verb: str) -> Action:
    action = ACTIONS.get(verb)
    if action is None:
        raise Http404
    if not action.allowed(request):
        raise PermissionDenied
    return action


def _wanted(request: HttpRequest) -> RunFilter | None:
    """The filter that is given, which must ask for something that cannot change its meaning; None: runs are named."""
    if "filter" not in request.POST:
        return None
    wanted = RunFilter.parse(QueryDict(request.POST["filter"].lstrip("?")))
    if wanted.mistakes:
        raise BadRequest(" ".join(wanted.mistakes))
    if not wanted.is_explicit:
        raise BadRequest("Choose a filter first: without one this would reach every run there is.")
    if wanted.exact != wanted.given:
        raise BadRequest(f"A name alone may come to mean something else. Say which is meant: {wanted.exact[SEARCH]}")
    return wanted


def _understood(wanted: RunFilter) -> str:
    searched = f" Only {wanted.runs_searched} are searched." if wanted.bound else ""
    return f"The filter: {wanted.words}.{searched}"


def _chosen(request: HttpRequest, wanted: RunFilter | None) -> QuerySet[Run]:
    """The runs that match the filter, or else those that are named.

    What a deletion has hidden is shown to operators, and is to every action as if it were gone.
    """
    there = Run.objects.visible_to(None)
    return wanted.runs(among=there) if wanted else there.filter(pk__in=_named(request.POST.getlist("run")))


def _named(texts: list[str]) -> list[UUID]:
    named = [pk for text in texts if (pk := as_uuid(text))]
    if not named or len(named) != len(texts):
        raise BadRequest("Select the runs first.")
    if len(named) > MOST_SELECTED:
        raise BadRequest(f"At most {MOST_SELECTED} runs can be named; use a filter.")
    return named


def _portion(request: HttpRequest, possible: Q) -> tuple[list[Run], str]:
    """The next runs, found as the list finds them, and where to go on; empty: there are no more.

    What was deleted is left out afterwards: as a condition it would lead the planner away from the list's index.
    """
    wanted = _wanted(request)
    after = _place(request, "after", "It is not clear where to go on.")
    possible &= older_than(*after) if after else Q()
    if wanted is None:
        rows = _chosen(request, None).filter(possible).newest_first()  # type: ignore[attr-defined]
    else:
        wanted.bound = _bound(request, wanted)
        rows = wanted.next_runs(BATCH + 1, place=possible)
    rows = rows.select_related("thread").only("sequence", "created_at", "deleted_at", "thread__deleted_at")
    found = list(rows[: BATCH + 1])
    runs = [run for run in found[:BATCH] if run.deleted_at is None and run.thread.deleted_at is None]
    return runs, place_of(found[BATCH - 1]) if len(found) > BATCH else ""


def _bound(request: HttpRequest, wanted: RunFilter) -> Bound | None:
    """Where the count has looked to. Worked out anew it would move: what an action does may take runs out of the index
    that leads to them, and older ones, which nobody counted, would come into reach."""
    given = _place(request, "bound", "It is not clear up to where to look.")
    if given is None and wanted.bound is not None:
        raise BadRequest("There are more runs than are searched at once, and it is not said up to where. Count again.")
    return Bound(*given) if given else None


def _place(request: HttpRequest, name: str, complaint: str) -> tuple[datetime, int] | None:
    text = request.POST.get(name, "")
    place = parse_place(text)
    if text and place is None:
        raise BadRequest(complaint)
    return place


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
