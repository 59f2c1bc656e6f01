"""Runs, and their history."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from runs.admin import run_bulk, run_export, run_page, run_stream, run_views, saved_views
from runs.admin.base import ReadOnlyAdmin
from runs.models import Run, RunEvent


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """The list of runs, a run, and what operators may do to them: pages of our own in the admin's frame."""

    # The command palette searches here.
    id_search = ("pk", "thread_id", "worker_id")
    exact_search = ("assistant", "owner__username")

    def get_urls(self) -> list[URLPattern]:
        """What is asked for by the pages' script comes before Django's, which would take it for an id."""
        return [
            path("rows/", self._page(run_views.live_rows), name="runs_run_rows"),
            path("views/", self._page(saved_views.change), name="runs_run_views"),
            path("export/<str:form>/", self._page(run_export.export), name="runs_run_export"),
            path("act/<str:verb>/count/", self._page(run_bulk.count), name="runs_run_count"),
            path("act/<str:verb>/", self._page(run_bulk.perform), name="runs_run_act"),
            path("<uuid:run_id>/stream/", self._page(run_stream.live_stream), name="runs_run_stream"),
            path("<uuid:run_id>/download/<str:part>/", self._page(run_page.download), name="runs_run_download"),
            *super().get_urls(),
        ]

    def _page(self, view: Any) -> Any:
        """For those who may see runs; anybody else is refused before anything is read."""

        def page(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            if not self.has_view_permission(request):
                raise PermissionDenied
            found: HttpResponseBase = view(request, **arguments)
            return found

        return self.admin_site.admin_view(page)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.without_nul(request) or run_views.run_list(request, self._frame(request))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """A run. Nothing can be changed here, whatever is posted."""
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return run_page.run_page(request, object_id, self._frame(request))

    def _frame(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "is_fullwidth": "1"}


@admin.register(RunEvent)
class RunEventAdmin(ReadOnlyAdmin):
    """Every change of every run; the latest first."""

    list_display = ("at", "run_id", "from_status", "to_status", "attempt", "actor", "reason", "request_id")
    list_filter = ("to_status",)
    ordering = ("-id",)
    id_search = ("run_id",)
    exact_search = ("actor", "request_id")
    search_help_text = "The id of a run; or the exact name of an actor or request"
