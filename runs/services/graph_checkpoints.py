"""A graph's steps as JSON: what the API shows of a checkpoint, of its tasks, of a subgraph's."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class GraphTasks:
    """What a graph executes next, as JSON."""

    next: list[str]
    #: task id -> [{"id", "value"}]
    interrupts: dict[str, Any]
    #: As LangGraph's API shows them.
    tasks: list[dict[str, Any]]
    #: The values with what finished tasks have written, if others have not finished; else None.
    live_values: Any = None


@dataclass(frozen=True, kw_only=True)
class GraphCheckpoint:
    """A step of the root graph, as JSON; `id` is LangGraph's."""

    id: UUID
    parent_id: UUID | None
    step: int
    values: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    tasks: GraphTasks


@dataclass(frozen=True, kw_only=True)
class SubgraphStep:
    """A step of a subgraph, as JSON; ids are LangGraph's."""

    namespace: str
    checkpoint_id: UUID
    parent_checkpoint_id: UUID | None
    root: UUID
    step: int
    values: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    tasks: GraphTasks
