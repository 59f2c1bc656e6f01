"""Workers: who is alive, and what they execute, from the rows that they renew themselves."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from runs.admin.base import ReadOnlyAdmin
from runs.admin.run_actions import LONGEST_REASON
from runs.admin.run_bulk import operator_of
from runs.admin.words import duration, ending, moment
from runs.admin.worker_actions import ACTIONS, act, action_for, may_drain
from runs.conf import runs_settings
from runs.models import ClockTimestamp, Run, Worker
from runs.services.schedulers import seen_schedulers, this_host
from runs.services.waiting import attempt_began
from runs.services.workers import WorkerState, state_of

STATE_LABELS = {
    WorkerState.ALIVE: "success",
    WorkerState.DRAINING: "info",
    WorkerState.EXPIRED: "warning",
    WorkerState.BURIED: "danger",
}
_LEASED = Q(buried_at=None, expires_at__gte=ClockTimestamp())
_STATES = {
    WorkerState.ALIVE: _LEASED & Q(draining_at=None),
    WorkerState.DRAINING: _LEASED & Q(draining_at__isnull=False),
    WorkerState.EXPIRED: Q(buried_at=None, expires_at__lt=ClockTimestamp()),
    WorkerState.BURIED: Q(buried_at__isnull=False),
}


class StateFilter(admin.SimpleListFilter):
    """By what the row says about the worker's life."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All there are."""
        return [(state, state.capitalize()) for state in _STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Worker]) -> QuerySet[Worker]:
        """Workers in the state; anything else is no filter."""
        wanted = self.value()
        return queryset.filter(_STATES[WorkerState(wanted)]) if wanted in WorkerState.values else queryset


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """One row is one life of a worker process; the living first, then the latest."""

    change_list_template = "runs/console/workers.html"
    change_form_template = "runs/console/worker.html"
    list_after_template = "runs/console/worker_dialog.html"
    list_display = ("id", "state", "host", "places", "executes", "heartbeat", "version", "started", "buried")
    list_filter = (StateFilter, "version")
    sortable_by = ()
    exact_search = ("host",)
    search_help_text = "The id of a worker, or the exact name of a host"
    fields = readonly_fields = (
        *("id", "state", "drained", "host", "version", "places"),
        *("executes", "heartbeat", "started", "expires", "buried"),
    )

    def get_urls(self) -> list[URLPattern]:
        """What is done to a worker comes before Django's, which would take it for an id."""
        acts = [
            path(f"<uuid:worker_id>/{verb}/", self.admin_site.admin_view(act), {"verb": verb}, f"runs_worker_{verb}")
            for verb in ACTIONS
        ]
        return [*acts, *super().get_urls()]

    def get_list_display(self, request: HttpRequest) -> Any:
        """With a button in each row, for those who may use it."""
        columns = [*self.list_display]
        if may_drain(request):
            columns.insert(columns.index("state") + 1, "button")
        return columns

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        """With the database's time, and with the runs that each holds, for those rows that are shown."""
        held = Run.objects.leased().only(*_HELD_COLUMNS).order_by("started_at")
        workers: QuerySet[Worker] = super().get_queryset(request).annotate(now=ClockTimestamp())
        return workers.prefetch_related(Prefetch("runs", held, to_attr="held"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, and the schedulers beside it."""
        beside = {"schedulers": seen_schedulers(), "this_host": this_host()}
        return super().changelist_view(request, {**(extra_context or {}), **beside, **_dialog(request)})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> Any:
        """The page of a worker, with what may be done to it."""
        worker = context["original"]
        return super().render_change_form(
            request, {**context, **_dialog(request), "button": self.button(worker)}, *args, **options
        )

    def get_ordering(self, request: HttpRequest) -> Any:
        """Who has not been buried is what people come for."""
        return (F("buried_at").desc(nulls_first=True), "-started_at")

    @display(description="State", label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def state(self, worker: Any) -> str:
        """In colour."""
        return state_of(worker, worker.now)

    @display(description="Drained")  # type: ignore[untyped-decorator]
    def drained(self, worker: Worker) -> str | None:
        """Since when, and by whom; the history has the reason."""
        if worker.draining_at is None:
            return None
        return format_html("since {} UTC by {}", moment(worker.draining_at), worker.draining_by)

    @display(description="Actions")  # type: ignore[untyped-decorator]
    def button(self, worker: Worker) -> str | None:
        """Opens the dialog of what can be done to it."""
        action = action_for(worker)
        if action is None:
            return None
        return format_html(
            '<button type="button" id="{verb}-{pk}" class="console-button is-small" data-worker-act="{verb}" '
            'data-url="{url}" data-host="{host}" aria-label="{title} worker {host}">{title}…</button>',
            verb=action.name,
            pk=worker.pk,
            url=reverse(f"admin:runs_worker_{action.name}", args=[worker.pk]),
            host=worker.host,
            title=action.title,
        )

    @display(description="Places taken")  # type: ignore[untyped-decorator]
    def places(self, worker: Any) -> str:
        """Runs that it holds, of those that it can."""
        return f"{len(worker.held)} of {worker.capacity}"

    @display(description="Executes")  # type: ignore[untyped-decorator]
    def executes(self, worker: Any) -> str:
        """The runs that it holds, and since when."""
        lines = (
            (reverse("admin:runs_run_change", args=[run.pk]), _word(run), _since(run, worker.now))
            for run in worker.held
        )
        return format_html_join("", '<div><a href="{}">{}</a> {}</div>', lines) or "-"

    @display(description="Started (UTC)")  # type: ignore[untyped-decorator]
    def started(self, worker: Worker) -> str | None:
        """When its life began."""
        return moment(worker.started_at)

    @display(description="Lease until (UTC)")  # type: ignore[untyped-decorator]
    def expires(self, worker: Worker) -> str | None:
        """Unless it renews it."""
        return moment(worker.expires_at)

    @display(description="Buried (UTC)")  # type: ignore[untyped-decorator]
    def buried(self, worker: Worker) -> str | None:
        """When it was declared dead, or left in good order."""
        return moment(worker.buried_at)

    @display(description="Last heartbeat")  # type: ignore[untyped-decorator]
    def heartbeat(self, worker: Any) -> str:
        """How long ago it renewed its lease, reckoned from when the lease ends."""
        renewed = worker.expires_at - timedelta(seconds=runs_settings().LEASE_SECONDS)
        return f"{duration(worker.now - renewed)} ago"


def _dialog(request: HttpRequest) -> dict[str, Any]:
    if not may_drain(request):
        return {}
    return {"worker_actions": ACTIONS.values(), "operator": operator_of(request), "longest_reason": LONGEST_REASON}


_HELD_COLUMNS = (
    "worker_id",
    "assistant",
    "status",
    "leased",
    "attempt",
    "timeout_at",
    "timeout_seconds",
    "finished_at",
)


def _word(run: Run) -> str:
    return f"{run.assistant} {ending(run.pk)}"


def _since(run: Run, now: datetime) -> str:
    if run.is_terminal:
        return f"stopping for {duration(now - (run.finished_at or now))}"
    return f"for {duration(now - (attempt_began(run) or now))}"
