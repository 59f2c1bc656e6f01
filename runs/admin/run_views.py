"""The list of runs: the whole page, and the part of it that is refreshed while somebody looks."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from runs.admin.run_actions import ACTIONS, LONGEST_REASON
from runs.admin.run_bulk import operator_of
from runs.admin.run_counts import count_statuses
from runs.admin.run_filters import AGES, RunFilter
from runs.admin.run_list import read_page
from runs.admin.run_search import SEARCH_HELP
from runs.admin.run_terms import ACTIVE, STATUSES, STOPPING
from runs.admin.saved_views import offered
from runs.assistants import registry
from runs.states import MultitaskStrategy

_TITLES = {"": "All", ACTIVE: "In flight", STOPPING: "Stopping"}


@require_safe
def run_list(request: HttpRequest, site_context: dict[str, Any]) -> HttpResponse:
    """The page: tabs, filters, rows, and the dialog of the actions that the visitor may do."""
    live = _live(request)
    shown = {
        **site_context,
        **live,
        **offered(request, live["wanted"]),
        "title": "Runs",
        "search_help": SEARCH_HELP,
        "strategies": MultitaskStrategy.values,
        "assistants": sorted(registry.registered()),
        "ages": [(name, words) for name, (words, _) in AGES.items()],
        "operator": operator_of(request),
        "longest_reason": LONGEST_REASON,
    }
    return TemplateResponse(request, "runs/console/runs.html", shown)


@require_safe
def live_rows(request: HttpRequest) -> HttpResponse:
    """Only what changes by itself: the tabs' counts and the rows."""
    answer = TemplateResponse(request, "runs/console/live.html", _live(request))
    answer["Cache-Control"] = "no-store"
    return answer


def _live(request: HttpRequest) -> dict[str, Any]:
    wanted = RunFilter.parse(request.GET)
    page = read_page(wanted, request.GET)
    return {
        "wanted": wanted,
        "page": page,
        "newer": wanted.address(after=page.newer) if page.newer else "",
        "older": wanted.address(before=page.older) if page.older else "",
        "goes_on": wanted.address(until=wanted.bound.until) if wanted.bound else "",
        "tabs": _tabs(wanted),
        "actions": [action for action in ACTIONS.values() if action.allowed(request)],
    }


def _tabs(wanted: RunFilter) -> list[dict[str, Any]]:
    counts = count_statuses(wanted)
    current = wanted.given.get("status", "")
    return [
        {
            "name": name or "all",
            "title": _TITLES.get(name, name.capitalize()),
            "count": counts.get(name, ""),
            "link": wanted.address(status=name),
            "current": name == current,
        }
        for name in ("", *STATUSES)
    ]
