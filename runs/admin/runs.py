"""Runs, and their history."""

from django.contrib import admin

from runs.admin.base import ReadOnlyAdmin, ReadOnlyInline
from runs.models import Run, RunEvent


class RunEventInline(ReadOnlyInline):
    """The history of the run."""

    model = RunEvent
    fields = readonly_fields = ("at", "from_status", "to_status", "attempt", "actor", "reason", "request_id")
    show_change_link = False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """One row is one run; the newest first."""

    list_display = (
        "id",
        "thread_id",
        "assistant",
        "status",
        "attempt",
        "leased",
        "multitask_strategy",
        "owner",
        "created_at",
        "started_at",
        "finished_at",
        "reason",
    )
    list_filter = ("status", "leased", "multitask_strategy", "cancel_action")
    list_select_related = ("owner",)
    ordering = ("-created_at", "-sequence")
    id_search = ("pk", "thread_id", "worker_id")
    exact_search = ("assistant", "owner__username")
    search_help_text = "The id of a run, thread or worker; or the exact name of an assistant or user"
    inlines = (RunEventInline,)


@admin.register(RunEvent)
class RunEventAdmin(ReadOnlyAdmin):
    """Every change of every run; the latest first."""

    list_display = ("at", "run_id", "from_status", "to_status", "attempt", "actor", "reason", "request_id")
    list_filter = ("to_status",)
    ordering = ("-id",)
    id_search = ("run_id",)
    exact_search = ("actor", "request_id")
    search_help_text = "The id of a run; or the exact name of an actor or request"
