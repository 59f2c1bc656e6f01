"""The page of a run: what it is and what has happened to it, in tabs that each read only what they show."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs.admin.base import as_uuid
from runs.admin.curl import curl_of
from runs.admin.json_text import complete, masked, readable
from runs.admin.run_actions import ACTIONS, LONGEST_REASON
from runs.admin.run_bulk import operator_of
from runs.admin.run_list import Row
from runs.admin.timeline import timeline
from runs.conf import runs_settings
from runs.models import Run, RunEvent
from runs.services.results import final_values
from runs.services.runs import queue_position

MOST_EVENTS = 500
MOST_SIBLINGS = 50


@require_safe
def run_page(request: HttpRequest, object_id: str, site_context: dict[str, Any]) -> HttpResponse:
    """The tab that the address names, or the overview."""
    run = _find(as_uuid(object_id))
    name = request.GET.get("tab", "overview")
    if name not in TABS:
        raise Http404
    row = Row(run, timezone.now(), queue_position(run))
    _, read = TABS[name]
    shown = {
        **site_context,
        "title": f"Run {run.pk}",
        "run": run,
        "row": row,
        "error": masked(run.error),
        "tab": name,
        "tabs": [(each, words) for each, (words, _) in TABS.items()],
        "actions": [action for action in ACTIONS.values() if action.name in row.possible and action.allowed(request)],
        "allowed": [action for action in ACTIONS.values() if action.allowed(request)],
        "links": links_of(run),
        "curl": curl_of(run, request.build_absolute_uri("/").rstrip("/")),
        "operator": operator_of(request),
        "longest_reason": LONGEST_REASON,
        **read(request, run),
    }
    return TemplateResponse(request, f"runs/console/run_{name}.html", shown)


@require_safe
def download(request: HttpRequest, run_id: UUID, part: str) -> HttpResponse:
    """All of the input, the output or the row as a JSON file; without secrets, as on the page."""
    if part not in PARTS:
        raise Http404
    run = _find(run_id)
    answer = HttpResponse(complete(PARTS[part](run)), content_type="application/json; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="run-{run.pk}-{part}.json"'
    answer["Cache-Control"] = "no-store"
    return answer


def links_of(run: Run) -> list[tuple[str, str]]:
    """Where else this run can be looked at, as far as that is configured."""
    where = runs_settings()
    ids = {"{run_id}": str(run.pk), "{thread_id}": str(run.thread_id)}
    flower = f"{where.FLOWER_URL.rstrip('/')}/task/{{run_id}}" if where.FLOWER_URL else ""
    places = (("Flower", flower), ("Trace", where.TRACE_URL), ("Logs", where.LOG_URL))
    return [(name, _fill(address, ids)) for name, address in places if address]


def _fill(address: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        address = address.replace(name, value)
    return address


def _find(pk: UUID | None) -> Run:
    runs = Run.objects.select_related("owner", "worker", "thread", "base", "thread__head")
    run = pk and runs.filter(pk=pk).first()
    if not run:
        raise Http404
    # What the list takes from the database is here already.
    error = run.error or {}
    run.error_type, run.error_message = error.get("type"), error.get("message")  # type: ignore[attr-defined]
    return run


def _overview(request: HttpRequest, run: Run) -> dict[str, Any]:
    latest = _events(run).order_by("-id")[:5]
    return {"latest": latest, "retries": run.retries.newest_first()[:10]}


def _timeline(request: HttpRequest, run: Run) -> dict[str, Any]:
    events = list(_events(run).order_by("id")[:MOST_EVENTS])
    return {"timeline": timeline(events, leased=run.leased, now=timezone.now())}


def _all_events(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Oldest first, or with `order=desc` newest first."""
    descending = request.GET.get("order") == "desc"
    return {"events": _events(run).order_by("-id" if descending else "id")[:MOST_EVENTS], "descending": descending}


def _events(run: Run) -> QuerySet[RunEvent]:
    return RunEvent.objects.filter(run=run)


def _input_and_output(request: HttpRequest, run: Run) -> dict[str, Any]:
    return {"parts": [(name, title, readable(PARTS[name](run))) for name, title in _SHOWN_PARTS]}


def _siblings(request: HttpRequest, run: Run) -> dict[str, Any]:
    others = Run.objects.filter(thread=run.thread_id).exclude(pk=run.pk).select_related("owner", "worker")
    found = list(others.defer("kwargs", "metadata", "usage").newest_first()[: MOST_SIBLINGS + 1])
    return {"siblings": found[:MOST_SIBLINGS], "more": len(found) > MOST_SIBLINGS}


def _nothing(request: HttpRequest, run: Run) -> dict[str, Any]:
    return {}


def _raw(request: HttpRequest, run: Run) -> dict[str, Any]:
    return {"raw": readable(_row(run))}


def _row(run: Run) -> dict[str, Any]:
    """Every column, times and ids as text."""
    columns = {field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields}
    plain = (dict, list, str, int, float, bool, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in columns.items()}


#: What can be downloaded, and from what it is made.
PARTS: dict[str, Callable[[Run], Any]] = {
    "input": lambda run: run.kwargs.get("input"),
    "output": lambda run: final_values(run) if run.attempt else None,
    "request": lambda run: run.kwargs,
    "metadata": lambda run: run.metadata,
    "row": _row,
}
_SHOWN_PARTS = (
    ("input", "Input"),
    ("output", "Output: the thread's state after the last step of the run that was kept"),
    ("request", "The request as accepted"),
    ("metadata", "Metadata"),
)
_Reader = Callable[[HttpRequest, Run], dict[str, Any]]
#: name -> title, and what the tab reads besides the run.
TABS: dict[str, tuple[str, _Reader]] = {
    "overview": ("Overview", _overview),
    "timeline": ("Timeline", _timeline),
    "events": ("Events", _all_events),
    "data": ("Input and output", _input_and_output),
    "thread": ("Other runs of the thread", _siblings),
    "stream": ("Live stream", _nothing),
    "raw": ("Raw", _raw),
}
