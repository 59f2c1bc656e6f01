"""Workers."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from runs.admin.base import ReadOnlyAdmin, ReadOnlyInline
from runs.models import Run, Worker


class HeldRunInline(ReadOnlyInline):
    """The runs that were last executed by the worker; those it holds are leased."""

    model = Run
    fields = readonly_fields = ("id", "thread_id", "assistant", "status", "leased", "attempt", "timeout_at")
    ordering = ("-leased", "-created_at")
    max_num = 0
    verbose_name_plural = "runs that this worker holds"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Only what it holds; what it has done can be many."""
        held: QuerySet[Run] = super().get_queryset(request).filter(leased=True)
        return held


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """One row is one life of a worker process; the latest first."""

    list_display = ("id", "host", "version", "capacity", "started_at", "expires_at", "buried_at")
    list_filter = (("buried_at", admin.EmptyFieldListFilter), "version")
    ordering = ("-started_at",)
    exact_search = ("host",)
    search_help_text = "The id of a worker, or the exact name of a host"
    inlines = (HeldRunInline,)
