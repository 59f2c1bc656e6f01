"""Finding runs for people on a server: everybody's, by the filters of the console, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from runs.models import Run, StatementTimestamp


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """None: whatever."""

    statuses: Sequence[str] = ()
    strategy: str | None = None
    assistant: str | None = None
    thread_id: UUID | None = None
    worker_id: UUID | None = None
    owner: str | None = None
    error_type: str | None = None
    #: Created within this time.
    within: timedelta | None = None


def search_runs(wanted: RunFilter, *, limit: int) -> list[Run]:
    """The runs that match, without their large columns."""
    exact = {
        "status__in": list(wanted.statuses) or None,
        "multitask_strategy": wanted.strategy,
        "assistant": wanted.assistant,
        "thread": wanted.thread_id,
        "worker": wanted.worker_id,
        "owner__username": wanted.owner,
        "error__type": wanted.error_type,
    }
    found = Run.objects.visible_to(None).filter(**{name: value for name, value in exact.items() if value is not None})
    if wanted.within is not None:
        found = found.filter(created_at__gte=StatementTimestamp() - wanted.within)
    return list(found.select_related("owner").defer("kwargs", "metadata", "usage").newest_first()[:limit])
