"""A graph's checkpoint as the API shows it: which values, which tasks come next, what they wait for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel import Pregel
from langgraph.pregel.debug import tasks_w_writes
from langgraph.types import PregelTask, StateSnapshot

from runs.execution.graphs.jsonable import jsonable
from runs.services.graph_checkpoints import GraphCheckpoint, GraphTasks, SubgraphStep

Graph = Pregel[Any, Any, Any, Any]
#: Reads another checkpoint than the one that is shown.
Read = Callable[[RunnableConfig], CheckpointTuple | None]


class _OneMore(BaseCheckpointSaver[str]):
    """A checkpointer that has one checkpoint more than `read` finds: it is not stored yet."""

    one: CheckpointTuple

    def __init__(self, read: Read) -> None:
        super().__init__()
        self._read = read

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        one, configurable = self.one.config["configurable"], config["configurable"]
        is_there = configurable.get("checkpoint_ns", "") == one["checkpoint_ns"]
        if is_there and configurable.get("checkpoint_id") in (None, one["checkpoint_id"]):
            return self.one
        return self._read(config)


class Steps:
    """The steps of a graph, or of a subgraph, as LangGraph shows them."""

    def __init__(self, graph: Graph, read: Read) -> None:
        self.graph, self._read = graph, read
        self._saver = _OneMore(read)
        #: The tasks of the checkpoint that was looked at last, whatever they had written then.
        self._known: tuple[str, tuple[PregelTask, ...]] | None = None

    def snapshot(self, stored: CheckpointTuple, *, live: bool = False) -> StateSnapshot:
        """What LangGraph says about this checkpoint: a record of the step; `live`: what has become of it so far."""
        self._saver.one = stored
        config: RunnableConfig = {
            "configurable": {
                **stored.config["configurable"],
                "__pregel_checkpointer": self._saver,  # LangGraph's own word for who asks with a namespace
            }
        }
        if live:
            del config["configurable"]["checkpoint_id"]
        found = self.graph.get_state(config)
        self._known = stored.checkpoint["id"], found.tasks
        return found

    def tasks(self, changed: CheckpointTuple) -> GraphTasks:
        """What comes next, now that a task of the checkpoint has written something."""
        tasks = present_tasks(self._with_writes(changed))
        done = [task for task in tasks.tasks if task["result"] is not None]
        if not done or len(tasks.tasks) == 1:  # the next step has it
            return tasks
        return replace(tasks, live_values=self._live_values(changed))

    def _with_writes(self, changed: CheckpointTuple) -> Iterable[PregelTask]:
        """Which tasks a checkpoint has does not depend on what they write: LangGraph need not find them again."""
        if self._known is None or self._known[0] != changed.checkpoint["id"]:
            return self.snapshot(changed).tasks
        known = self._known[1]
        states = {task.id: task.state for task in known if task.state is not None}
        return tasks_w_writes(known, changed.pending_writes, states, self.graph.stream_channels_asis)

    def _live_values(self, changed: CheckpointTuple) -> Any:
        """Reducers may change what they are given: so they get copies. One that refuses will do so in its step."""
        fresh = self._read(changed.config)
        if fresh is None:
            return None
        writes = [(task, channel, _copy(value)) for task, channel, value in changed.pending_writes or []]
        try:
            return jsonable(self.snapshot(fresh._replace(pending_writes=writes), live=True).values)
        except Exception:
            return None


def _copy(value: Any) -> Any:
    return _SERDE.loads_typed(_SERDE.dumps_typed(value))


_SERDE = JsonPlusSerializer()


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


def present_subgraph_step(snapshot: StateSnapshot, stored: CheckpointTuple, root: UUID) -> SubgraphStep:
    """The row of a subgraph's step."""
    parent = (stored.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    return SubgraphStep(
        namespace=stored.config["configurable"]["checkpoint_ns"],
        checkpoint_id=UUID(stored.checkpoint["id"]),
        parent_checkpoint_id=None if parent is None else UUID(parent),
        root=root,
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
        "state": None,
        "result": jsonable(task.result),
    }


def _present_interrupt(interrupt: Any) -> dict[str, Any]:
    return {"id": interrupt.id, "value": jsonable(interrupt.value)}


def _reference(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not config:
        return None
    found = config["configurable"]
    return {
        name: found[name] for name in ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map") if name in found
    }
