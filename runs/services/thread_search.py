"""Finding threads: always within what the caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runs.errors import InvalidRequest
from runs.models import Thread
from runs.models.thread import ThreadQuerySet
from runs.states import ThreadStatus

#: What a search may be sorted by -> the column.
SORT_COLUMNS = {
    "thread_id": "id",
    "status": "status",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "state_updated_at": "state_updated_at",
}


@dataclass(frozen=True, kw_only=True)
class ThreadFilter:
    """Which threads are wanted; None: any. `metadata` and `values` match what contains them."""

    ids: Sequence[UUID] | None = None
    metadata: dict[str, Any] | None = None
    values: dict[str, Any] | None = None
    status: ThreadStatus | None = None


def search_threads(
    *,
    owner: Any,
    wanted: ThreadFilter,
    limit: int,
    offset: int = 0,
    sort_by: str = "updated_at",
    descending: bool = True,
) -> Sequence[Thread]:
    """Return the threads with their heads, the id deciding between equals. Raises InvalidRequest."""
    if limit < 0 or offset < 0:
        raise InvalidRequest("limit and offset must not be negative")
    direction = "-" if descending else ""
    found = _matching(owner, wanted).select_related("head")
    return list(found.order_by(direction + SORT_COLUMNS[sort_by], f"{direction}id")[offset : offset + limit])


def count_threads(*, owner: Any, wanted: ThreadFilter) -> int:
    """Return how many threads match."""
    return _matching(owner, wanted).count()


def _matching(owner: Any, wanted: ThreadFilter) -> ThreadQuerySet:
    found = Thread.objects.listed_for(owner) if wanted.ids is None else Thread.objects.visible_to(owner)
    if wanted.ids is not None:
        found = found.filter(pk__in=wanted.ids)
    if wanted.metadata:
        found = found.filter(metadata__contains=wanted.metadata)
    if wanted.values:
        found = found.filter(head__values__contains=wanted.values)
    if wanted.status is not None:
        found = found.filter(status=wanted.status)
    return found
