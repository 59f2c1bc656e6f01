"""Reading a thread's state and the states before it: the lineage of its head."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from runs.errors import CheckpointNotFound, InvalidRequest, ThreadNotFound
from runs.models import Checkpoint, Thread

MAX_LIMIT = 1000
_TABLE = Checkpoint._meta.db_table
#: A checkpoint and its ancestors, so many steps.
_LINE = (
    f"WITH RECURSIVE line AS (SELECT id, parent_id, 1 AS depth FROM {_TABLE} WHERE id = %s "  # noqa: S608 - our name
    f"UNION ALL SELECT c.id, c.parent_id, line.depth + 1 FROM {_TABLE} c JOIN line ON c.id = line.parent_id "
    "WHERE line.depth < %s)"
)


def get_thread(*, thread_id: UUID, owner: Any) -> Thread:
    """Return the thread with its head, or raise ThreadNotFound: a stranger's thread looks like a missing one."""
    thread = Thread.objects.visible_to(owner).select_related("head").filter(pk=thread_id).first()
    if thread is None:
        raise ThreadNotFound(f"Thread with ID {thread_id} not found")
    return thread


def get_state(*, thread_id: UUID, owner: Any, checkpoint_id: UUID | None = None) -> Checkpoint | None:
    """Return the head (None: the thread is empty), or the named checkpoint.

    Raises ThreadNotFound, CheckpointNotFound.
    """
    thread = get_thread(thread_id=thread_id, owner=owner)
    if checkpoint_id is None:
        return thread.head
    checkpoint = Checkpoint.objects.forkable_on(thread, checkpoint_id).first()
    if checkpoint is None:
        raise CheckpointNotFound
    return checkpoint


def get_history(
    *,
    thread_id: UUID,
    owner: Any,
    limit: int = 10,
    before: UUID | None = None,
    metadata: dict[str, Any] | None = None,
) -> Sequence[Checkpoint]:
    """Return the head and its ancestors, newest first; `before` starts with the parent of that checkpoint.

    Steps that were rolled back are not part of it. Raises ThreadNotFound, CheckpointNotFound, InvalidRequest.
    """
    if not 0 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit must be between 0 and {MAX_LIMIT}")
    start = get_state(thread_id=thread_id, owner=owner, checkpoint_id=before)
    if start is None:
        return []
    first = start.parent_id if before is not None else start.pk
    return _lineage(first, limit, metadata or {})


def lineage_ids(checkpoint_id: UUID | None, limit: int | None = None) -> list[UUID]:
    """The ids of this checkpoint and its ancestors, newest first; `limit`: of so many at most."""
    rows = Checkpoint.objects.raw(f"{_LINE} SELECT id FROM line ORDER BY depth", [checkpoint_id, _deepest(limit, {})])  # noqa: S608
    return [checkpoint.pk for checkpoint in rows]


def langgraph_ids(checkpoint_ids: Sequence[UUID]) -> list[UUID]:
    """What LangGraph calls these checkpoints, in the same order."""
    copies = dict(
        Checkpoint.objects.filter(pk__in=checkpoint_ids, langgraph_id__isnull=False).values_list("pk", "langgraph_id")
    )
    return [copies.get(one) or one for one in checkpoint_ids]


def _lineage(checkpoint_id: UUID | None, limit: int, metadata: dict[str, Any]) -> Sequence[Checkpoint]:
    """Walk the parents in one recursive statement that carries ids only, then read the rows that were asked for."""
    rows = Checkpoint.objects.raw(
        f"{_LINE} SELECT c.* FROM line JOIN {_TABLE} c ON c.id = line.id WHERE c.metadata @> %s "  # noqa: S608 - our name
        "ORDER BY line.depth LIMIT %s",
        [checkpoint_id, _deepest(limit, metadata), Jsonb(metadata), limit],
    )
    return list(rows)


def _deepest(limit: int | None, metadata: dict[str, Any]) -> int:
    """How far to walk, of what may be ten thousand steps: if every one is wanted, no further than to the last."""
    return 2**31 - 1 if limit is None or metadata else limit
