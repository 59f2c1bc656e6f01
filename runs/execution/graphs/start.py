"""Where an attempt of a graph starts: at the thread's head, at a fork, or at what an earlier attempt has stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runs.errors import CheckpointNotFound
from runs.execution.graphs.rows import VisibleRows
from runs.models import Checkpoint, Run
from runs.prepared import steady
from runs.services.graph_rows import CHECKPOINTS
from runs.services.history import langgraph_ids, lineage_ids
from runs.statements import Select, Statement, execute

_HEAD = Select(Checkpoint, "WHERE id = %s", only=("values",))
#: The head in LangGraph's words, if LangGraph knows it.
_TIP = f"""
SELECT l.checkpoint_id FROM {CHECKPOINTS} l WHERE l.thread_id = %s AND l.checkpoint_ns = ''
    AND l.checkpoint_id = (SELECT COALESCE(langgraph_id, id)::text FROM {Checkpoint._meta.db_table} WHERE id = %s)
"""  # noqa: S608 - our names


@dataclass(frozen=True)
class Start:
    """Where an attempt starts: ids of checkpoints of the root graph, in LangGraph's words; null: an empty thread."""

    #: Our name of the head, which a copy has another one for.
    head: UUID | None
    #: What a read without an id answers.
    tip: str | None
    #: The checkpoint to fork from, if the head has not moved since the run began.
    fork: str | None
    #: Our name of the checkpoint that it starts from: of the fork, else the head's.
    origin: UUID | None
    #: What the thread held when the run began.
    values: Any = None


def find_start(run: Run, rows: VisibleRows) -> Start:
    """Where this attempt of the run starts; reads only."""
    head, forked = run.thread.head_id, run.kwargs.get("checkpoint_id")
    start = UUID(forked) if forked is not None and head == run.base_id else None
    if start is not None and not Checkpoint.objects.forkable_on(run.thread_id, start).exists():
        raise CheckpointNotFound
    fork = None if start is None else str(langgraph_ids([start])[0])
    tip, values = _read_head(run.thread_id, head)
    if tip is None and head is not None:
        tip = _find_tip(run.thread_id, head, rows)
    before = start or run.base_id
    return Start(head, tip, fork, start or head, values if before == head else _values_of(before))


def _read_head(thread_id: UUID, head: UUID | None) -> tuple[str | None, Any]:
    """The head in LangGraph's words, which almost always knows it, and its values."""
    if head is None:
        return None, None
    _, tips, heads = execute(steady(), Statement(_TIP, [str(thread_id), head], kept=True), _HEAD(head))
    values = next((found.values for found in _HEAD.load(heads)), None)
    return (tips[0][0] if tips else None), values


def _values_of(checkpoint_id: UUID | None) -> Any:
    if checkpoint_id is None:
        return None
    return Checkpoint.objects.filter(pk=checkpoint_id).values_list("values", flat=True).first()


def _find_tip(thread_id: UUID, head: UUID, rows: VisibleRows) -> str | None:
    """The latest of the head's lineage that LangGraph knows."""
    for length in (100, None):
        lineage = lineage_ids(head, length)
        if found := rows.latest_of(str(thread_id), names_of(lineage)):
            return found
        if length is None or len(lineage) < length:
            break
    return None


def names_of(checkpoint_ids: Sequence[UUID]) -> list[str]:
    """LangGraph's ids of these checkpoints."""
    return [str(one) for one in langgraph_ids(checkpoint_ids)]
