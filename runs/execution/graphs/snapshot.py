"""A graph's checkpoint as the API shows it: which values, which tasks come next, what they wait for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.pregel import Pregel
from langgraph.types import PregelTask, StateSnapshot

from runs.execution.graphs.jsonable import jsonable
from runs.services.graph_checkpoints import GraphCheckpoint, GraphTasks

Graph = Pregel[Any, Any, Any, Any]
#: Reads another checkpoint than the one that is shown.
Read = Callable[[RunnableConfig], CheckpointTuple | None]


class _One(BaseCheckpointSaver[str]):
    """A checkpointer that has one checkpoint more than `read` finds: it is not stored yet."""

    def __init__(self, one: CheckpointTuple, read: Read) -> None:
        super().__init__()
        self._one, self._read = one, read

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        configurable = config["configurable"]
        is_root = not configurable.get("checkpoint_ns")
        if is_root and configurable.get("checkpoint_id") in (None, self._one.checkpoint["id"]):
            return self._one
        return self._read(config)


def take_snapshot(graph: Graph, stored: CheckpointTuple, read: Read, *, subgraphs: bool = False) -> StateSnapshot:
    """What LangGraph says about this checkpoint of the root graph, by its id: as a record of the step."""
    saver = _One(stored, read)
    config: RunnableConfig = {
        "configurable": {
            "thread_id": stored.config["configurable"]["thread_id"],
            "checkpoint_ns": "",
            "checkpoint_id": stored.checkpoint["id"],
        }
    }
    return graph.copy(update={"checkpointer": saver}).get_state(config, subgraphs=subgraphs)


def present_checkpoint(snapshot: StateSnapshot, stored: CheckpointTuple, parent_id: UUID | None) -> GraphCheckpoint:
    """The row that the thread's head becomes."""
    return GraphCheckpoint(
        id=UUID(stored.checkpoint["id"]),
        parent_id=parent_id,
        step=int(stored.metadata.get("step", -1)),
        values=jsonable(snapshot.values),
        metadata=jsonable(stored.metadata),
        tasks=present_tasks(snapshot.tasks),
    )


def present_tasks(tasks: Iterable[PregelTask]) -> GraphTasks:
    """What comes next; a task that has finished before its siblings does not."""
    shown = [_present_task(task) for task in tasks]
    return GraphTasks(
        next=[task["name"] for task in shown if task["result"] is None],
        interrupts={task["id"]: task["interrupts"] for task in shown if task["interrupts"] and task["result"] is None},
        tasks=shown,
    )


def _present_task(task: PregelTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "name": task.name,
        "path": jsonable(task.path),
        "error": None if task.error is None else repr(task.error),
        "interrupts": [_present_interrupt(one) for one in task.interrupts],
        "checkpoint": _reference(task.state) if isinstance(task.state, dict) else None,
        "state": present_snapshot(task.state) if isinstance(task.state, StateSnapshot) else None,
        "result": jsonable(task.result),
    }


def _present_interrupt(interrupt: Any) -> dict[str, Any]:
    return {"id": interrupt.id, "value": jsonable(interrupt.value)}


def present_snapshot(snapshot: StateSnapshot) -> dict[str, Any]:
    """A ThreadState, of a subgraph."""
    reference, parent = _reference(snapshot.config), _reference(snapshot.parent_config)
    return {
        "values": jsonable(snapshot.values),
        "next": list(snapshot.next),
        "tasks": [_present_task(task) for task in snapshot.tasks],
        "metadata": jsonable(snapshot.metadata),
        "created_at": snapshot.created_at,
        "checkpoint": reference,
        "parent_checkpoint": parent,
        "interrupts": [_present_interrupt(one) for one in snapshot.interrupts],
        "checkpoint_id": reference and reference.get("checkpoint_id"),
        "parent_checkpoint_id": parent and parent.get("checkpoint_id"),
    }


def _reference(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not config:
        return None
    found = config["configurable"]
    return {
        name: found[name] for name in ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map") if name in found
    }
