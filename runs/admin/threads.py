"""Threads."""

from django.contrib import admin

from runs.admin.base import ReadOnlyAdmin
from runs.models import Thread


@admin.register(Thread)
class ThreadAdmin(ReadOnlyAdmin):
    """One row is one thread; the latest changed first."""

    list_display = ("id", "owner", "status", "head_id", "created_at", "updated_at", "state_updated_at", "deleted_at")
    list_filter = ("status", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("owner",)
    ordering = ("-updated_at", "-id")
    id_search = ("pk", "head_id")
    exact_search = ("owner__username",)
    search_help_text = "The id of a thread or of its head; or the exact name of a user"
