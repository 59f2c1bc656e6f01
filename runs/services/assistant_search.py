"""Finding assistants and their versions: the server's own, and what the caller has created."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runs.errors import AssistantNotFound, InvalidRequest
from runs.models import Assistant, AssistantVersion
from runs.models.assistant import AssistantQuerySet

#: What a search may be sorted by -> the column.
SORT_COLUMNS = {
    "assistant_id": "id",
    "graph_id": "graph_id",
    "name": "name",
    "created_at": "created_at",
    "updated_at": "updated_at",
}


@dataclass(frozen=True, kw_only=True)
class AssistantFilter:
    """Which assistants are wanted; None: any. `name` is a part, in either case; `metadata` matches what contains it."""

    graph_id: str | None = None
    name: str | None = None
    metadata: dict[str, Any] | None = None


def get_assistant(*, assistant_id: UUID, owner: Any) -> Assistant:
    """Return the assistant, or raise AssistantNotFound: a stranger's looks like a missing one."""
    found = Assistant.objects.visible_to(owner).filter(pk=assistant_id).first()
    if found is None:
        raise AssistantNotFound(f"Assistant with ID {assistant_id} not found")
    return found


def search_assistants(
    *,
    owner: Any,
    wanted: AssistantFilter,
    limit: int,
    offset: int = 0,
    sort_by: str = "created_at",
    descending: bool = True,
) -> Sequence[Assistant]:
    """Return the assistants, the id deciding between equals. Raises InvalidRequest."""
    _check_page(limit, offset)
    direction = "-" if descending else ""
    found = _matching(owner, wanted).order_by(direction + SORT_COLUMNS[sort_by], f"{direction}id")
    return list(found[offset : offset + limit])


def count_assistants(*, owner: Any, wanted: AssistantFilter) -> int:
    """Return how many assistants match."""
    return _matching(owner, wanted).count()


def list_versions(
    *, assistant_id: UUID, owner: Any, limit: int, offset: int = 0, metadata: dict[str, Any] | None = None
) -> Sequence[AssistantVersion]:
    """Return what the assistant says and has said, the newest first. Raises AssistantNotFound, InvalidRequest."""
    _check_page(limit, offset)
    versions = get_assistant(assistant_id=assistant_id, owner=owner).versions.order_by("-version")
    if metadata:
        versions = versions.filter(metadata__contains=metadata)
    return list(versions[offset : offset + limit])


def _check_page(limit: int, offset: int) -> None:
    if limit < 0 or offset < 0:
        raise InvalidRequest("limit and offset must not be negative")


def _matching(owner: Any, wanted: AssistantFilter) -> AssistantQuerySet:
    found = Assistant.objects.visible_to(owner)
    if wanted.graph_id is not None:
        found = found.filter(graph_id=wanted.graph_id)
    if wanted.name is not None:
        found = found.filter(name__icontains=wanted.name)
    if wanted.metadata:
        found = found.filter(metadata__contains=wanted.metadata)
    return found
