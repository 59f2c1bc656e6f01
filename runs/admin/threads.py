"""Threads: the list, and the page that says why one is blocked."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from runs.admin import thread_page
from runs.admin.base import ReadOnlyAdmin
from runs.admin.words import ending, moment
from runs.models import Run, Thread
from runs.states import IN_FLIGHT, RunStatus, ThreadStatus

#: Colours of the console's labels.
STATUS_LABELS = {
    ThreadStatus.IDLE: "success",
    ThreadStatus.BUSY: "info",
    ThreadStatus.INTERRUPTED: "warning",
    ThreadStatus.ERROR: "danger",
}


@admin.register(Thread)
class ThreadAdmin(ReadOnlyAdmin):
    """One row is one thread; the latest changed first."""

    change_list_template = "runs/console/list.html"
    list_display = (
        "id",
        "shown_status",
        "owner",
        "busy_since",
        "queue_length",
        "executing",
        "changed",
        "deleted",
    )
    list_filter = ("status", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("owner",)
    ordering = ("-updated_at", "-id")
    sortable_by = ()  # by anything else the whole table would have to be sorted
    id_search = ("pk", "head_id")
    exact_search = ("owner__username",)
    search_help_text = "The id of a thread or of its head; or the exact name of a user"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Thread]:
        """With the runs that have not settled, for those rows that are shown."""
        unsettled = Run.objects.filter(Q(status__in=sorted(IN_FLIGHT)) | Q(leased=True)).order_by("sequence")
        columns = ("thread_id", "status", "leased", "created_at")
        threads: QuerySet[Thread] = super().get_queryset(request).defer("metadata", "config", "error")
        return threads.prefetch_related(Prefetch("runs", unsettled.only(*columns), to_attr="unsettled"))

    @display(description="Status", label=STATUS_LABELS)  # type: ignore[untyped-decorator]
    def shown_status(self, thread: Thread) -> str:
        """In colour."""
        return thread.status

    @display(description="Busy since (UTC)")  # type: ignore[untyped-decorator]
    def busy_since(self, thread: Any) -> str | None:
        """When the oldest run in flight was accepted."""
        return moment(min((run.created_at for run in thread.unsettled if run.is_in_flight), default=None))

    @display(description="Changed (UTC)")  # type: ignore[untyped-decorator]
    def changed(self, thread: Thread) -> str | None:
        """The order of the list."""
        return moment(thread.updated_at)

    @display(description="Deleted (UTC)")  # type: ignore[untyped-decorator]
    def deleted(self, thread: Thread) -> str | None:
        """Its row goes when all its runs have settled."""
        return moment(thread.deleted_at)

    @display(description="Waiting")  # type: ignore[untyped-decorator]
    def queue_length(self, thread: Any) -> int:
        """Pending runs."""
        return sum(run.status == RunStatus.PENDING for run in thread.unsettled)

    @display(description="Executing")  # type: ignore[untyped-decorator]
    def executing(self, thread: Any) -> str | None:
        """The run that a worker holds."""
        run = next((run for run in thread.unsettled if run.leased), None)
        if run is None:
            return None
        word = "stopping" if run.is_stopping else run.status
        address = reverse("admin:runs_run_change", args=[run.pk])
        return format_html('<a href="{}" title="{}">{} {}</a>', address, run.pk, word, ending(run.pk))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """A thread. Nothing can be changed here, whatever is posted."""
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return thread_page.thread_page(request, object_id, self.admin_site.each_context(request))
