"""The console's first page: how the installation is now, and how it was over the time that the address names."""

import logging
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import date

from runs import broker
from runs.admin.words import duration
from runs.models import Run
from runs.services.overview import Executing, Overview, overview
from runs.services.trends import WINDOWS, Step, Times, Trends, Window, trends
from runs.states import FAILED, RunStatus

logger = logging.getLogger(__name__)

admin.site.index_template = "runs/console/dashboard.html"

DEFAULT_WINDOW = "1h"
#: How often the page is refreshed while it is looked at: what moves slowly and costs more, less often.
REFRESH_SECONDS = {"15m": 5, "1h": 10, "1d": 30, "7d": 120}
#: Where there is no number to show.
NOTHING = "-"
HOUR = timedelta(hours=1)
#: Asks for what is refreshed and nothing around it.
FRAGMENT = "X-Fragment"
#: From the bottom of the stack to its top.
ENDINGS = (RunStatus.SUCCESS, RunStatus.INTERRUPTED, RunStatus.TIMEOUT, RunStatus.ERROR)

TABLE_HEAD = ("From", "Created", *(status.label for status in ENDINGS), "Failed", "Start p50", "Start p95")
TABLE_HEAD += ("Duration p50", "Duration p95", "Waiting")


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the template shows; settings.UNFOLD names this function. Six statements, whatever there is to count."""
    context |= {"layout": "runs/console/fragment.html" if FRAGMENT in request.headers else "admin/base_site.html"}
    if not request.user.has_perm("runs.view_run"):
        return context
    name = request.GET.get("window", DEFAULT_WINDOW)
    name = name if name in WINDOWS else DEFAULT_WINDOW
    now = overview()
    past = trends(WINDOWS[name], now=now.now, waiting=now.waiting.for_first_attempt)
    return context | {
        "now": now,
        "trends": past,
        "window": name,
        "windows": [(each, window.title) for each, window in WINDOWS.items()],
        "refresh_seconds": REFRESH_SECONDS[name],
        "cards": _cards(now, past),
        "queues": _queues(),
        "charts": _charts(past),
        "steps": [_table_row(step) for step in reversed(past.steps)],
        "table_head": TABLE_HEAD,
        "is_new": _is_new(now, past),
    }


def _is_new(now: Overview, past: Trends) -> bool:
    """Whether nobody has ever run anything here."""
    return not (now.waiting.total or past.whole.created or Run.objects.exists())


def _queues() -> list[tuple[str, int]] | None:
    """Celery's queues with how many messages they hold; None if the broker cannot be asked."""
    try:
        return list(broker.queue_depths().items())
    except Exception as error:
        logger.warning("the broker does not say how deep its queues are: %s", error)
        return None


def _cards(now: Overview, past: Trends) -> list[dict[str, Any]]:
    return [*_present_cards(now), *_past_cards(past)]


def _present_cards(now: Overview) -> list[dict[str, Any]]:
    waiting, executing = now.waiting, now.executing
    oldest = None if waiting.oldest is None else now.now - waiting.oldest
    nobody = waiting.total > 0 and executing.takers == 0
    return [
        {
            "title": "Pending",
            "value": f"{waiting.total:,}" + ("+" if waiting.is_more else ""),
            "detail": f"{waiting.for_worker:,} for a worker, {waiting.for_thread:,} for their thread, "
            f"{waiting.scheduled:,} for their time",
            "link": ("runs_run_changelist", "status=pending"),
        },
        {
            "title": "Oldest pending",
            "value": _span(oldest),
            "detail": f"since {date(waiting.oldest, 'M j, H:i:s')} UTC"
            if waiting.oldest
            else "nothing waits that is due",
            "warning": _nobody(executing) if nobody else "",
        },
        {
            "title": "Executing",
            "value": f"{executing.used:,} of {executing.capacity:,}",
            "detail": f"{executing.running:,} running, {executing.stopping:,} stopping, "
            f"{executing.workers:,} worker{'' if executing.workers == 1 else 's'} alive{_drained(executing)}",
            "warning": f"{executing.expired} expired: about to be buried." if executing.expired else "",
            "share": min(100, round(100 * executing.used / executing.capacity)) if executing.capacity else 0,
            "link": ("runs_worker_changelist", "state=alive"),
        },
    ]


def _nobody(executing: Executing) -> str:
    return "All workers are drained: resume one." if executing.draining else "No worker is alive: start one."


def _drained(executing: Executing) -> str:
    if not executing.draining:
        return ""
    return f", {executing.draining:,} of them drained with {executing.finishing:,} to finish"


def _past_cards(past: Trends) -> list[dict[str, Any]]:
    minutes = past.window.step * past.window.steps / 60
    return [
        {
            "title": "Finished",
            "value": f"{past.finished:,}",
            "detail": f"{past.finished / minutes.total_seconds():,.1f} a minute; {past.whole.created:,} created",
        },
        {
            "title": "Failed",
            "value": _percent(past.failed, past.finished),
            "detail": ", ".join(f"{past.whole.finished[status]:,} {status}" for status in sorted(FAILED)),
            "link": ("runs_run_changelist", "status=error"),
        },
        _times_card("Start latency", past.whole.waited, "from when they could start until their first attempt"),
        _times_card("Duration", past.whole.took, "from their first attempt to their end"),
    ]


def _times_card(title: str, times: Times, what: str) -> dict[str, Any]:
    return {
        "title": title,
        "value": _span(times.p50),
        "detail": f"p50; p95 {_span(times.p95)}. {times.count:,} runs, {what}",
    }


def _span(value: timedelta | float | None) -> str:
    if value is None:
        return NOTHING
    span = value if isinstance(value, timedelta) else timedelta(seconds=value)
    return (
        duration(span)
        if span >= timedelta(seconds=1)
        else f"{max(span, timedelta()) / timedelta(milliseconds=1):.0f} ms"
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def _label(step: Step, window: Window) -> str:
    if window.step > HOUR:
        return date(step.start, "M j, H:i")
    return date(step.start, "H:i" if window.step.seconds % 60 == 0 else "H:i:s")


def _charts(past: Trends) -> dict[str, Any]:
    """What dashboard.js draws, by the name of the canvas; a gap where there is nothing to say."""
    steps = past.steps
    finished = {str(status): [step.finished[status] for step in steps] for status in ENDINGS}
    return {
        "labels": [_label(step, past.window) for step in steps],
        "throughput": {**finished, "created": [step.created for step in steps]},
        "failures": {"failed": [_failed_percent(step) for step in steps]},
        "waited": {"p50": [step.waited.p50 for step in steps], "p95": [step.waited.p95 for step in steps]},
        "took": {"p50": [step.took.p50 for step in steps], "p95": [step.took.p95 for step in steps]},
        "depth": {"waiting": [step.depth for step in steps]},
    }


def _failed_percent(step: Step) -> float | None:
    ended, failed = sum(step.finished.values()), sum(step.finished[status] for status in FAILED)
    return round(100 * failed / ended, 2) if ended else None


def _table_row(step: Step) -> list[str]:
    """The same as the charts, for who does not see them."""
    return [
        date(step.start, "M j, H:i:s"),
        f"{step.created:,}",
        *(f"{step.finished[status]:,}" for status in ENDINGS),
        NOTHING if (failed := _failed_percent(step)) is None else f"{failed:.1f} %",
        *(_span(time) for times in (step.waited, step.took) for time in (times.p50, times.p95)),
        f"{step.depth:,}",
    ]
