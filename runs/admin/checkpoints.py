"""Checkpoints."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from runs.admin.base import ReadOnlyAdmin
from runs.models import Checkpoint


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    """One row is one state that a thread had; the latest first, for ids sort by time."""

    list_display = ("id", "thread_id", "run_id", "attempt", "step", "parent_id", "created_at")
    ordering = ("-id",)
    id_search = ("pk", "thread_id", "run_id")
    search_help_text = "The id of a checkpoint, thread or run"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        """A state can be large, and a list does not show it."""
        rows: QuerySet[Checkpoint] = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and match.url_name is not None and match.url_name.endswith("_changelist")
        return rows.defer("values", "interrupts", "metadata") if is_list else rows
