"""Checkpoints."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import display

from runs.admin.base import ReadOnlyAdmin
from runs.admin.json_text import readable
from runs.models import Checkpoint

_JSON = ("shown_values", "shown_next", "shown_interrupts", "shown_metadata")


def _readable(value: Any) -> str:
    found = readable(value)
    more = f"Only the beginning is shown: all of it has {found.size} characters." if found.cut else ""
    return format_html('<pre class="whitespace-pre-wrap break-words">{}</pre>{}', found.text, more)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    """One row is one state that a thread had; the latest first, for ids sort by time."""

    list_display = ("id", "thread_id", "run_id", "attempt", "step", "parent_id", "created_at")
    ordering = ("-id",)
    id_search = ("pk", "thread_id", "run_id")
    search_help_text = "The id of a checkpoint, thread or run"

    fields = readonly_fields = ("id", "thread", "run", "attempt", "step", "parent", "created_at", *_JSON)

    @display(description="Values")  # type: ignore[untyped-decorator]
    def shown_values(self, checkpoint: Checkpoint) -> str:
        """The state, masked and of a bounded size, as everything below."""
        return _readable(checkpoint.values)

    @display(description="Next")  # type: ignore[untyped-decorator]
    def shown_next(self, checkpoint: Checkpoint) -> str:
        """What would execute next."""
        return _readable(checkpoint.next)

    @display(description="Interrupts")  # type: ignore[untyped-decorator]
    def shown_interrupts(self, checkpoint: Checkpoint) -> str:
        """What waits for an answer."""
        return _readable(checkpoint.interrupts)

    @display(description="Metadata")  # type: ignore[untyped-decorator]
    def shown_metadata(self, checkpoint: Checkpoint) -> str:
        """Where it came from."""
        return _readable(checkpoint.metadata)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        """A state can be large, and a list does not show it."""
        rows: QuerySet[Checkpoint] = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and match.url_name is not None and match.url_name.endswith("_changelist")
        return rows.defer("values", "interrupts", "metadata") if is_list else rows
