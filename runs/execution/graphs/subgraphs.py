"""The steps of a graph's subgraphs, shown as those of the root graph are."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph._internal._config import recast_checkpoint_ns
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.pregel import Pregel

from runs.execution.graphs.journal import Journal
from runs.execution.graphs.snapshot import Graph, Read, Steps, present_subgraph_step
from runs.services.graph_checkpoints import GraphTasks
from runs.services.graph_writes import GraphWrite, InnerStep, InnerTasks, Store

T = TypeVar("T")
#: What the index of our rows can hold; subgraphs more than thirty deep are not shown.
LONGEST_NAMESPACE = 2000


class Host(Protocol):
    """The executor, as far as this needs it."""

    def persist(self, job: Callable[[], T]) -> T:
        """Do the job on the executor's connection until the database has answered, or raise the interruption."""


class SubgraphSteps:
    """Adds to the journal what subgraphs write. Nothing is shown of one that LangGraph does not know: a tool's."""

    def __init__(self, graph: Graph, host: Host, journal: Journal, read: Read) -> None:
        self._graph, self._host, self._journal, self._read = graph, host, journal, read
        self._found: dict[str, Steps | None] = {}
        #: namespace -> its latest checkpoint, with what its tasks have written so far.
        self._latest: dict[str, CheckpointTuple] = {}

    def put(self, stored: CheckpointTuple, store: Store) -> tuple[Graph | None, GraphTasks | None]:
        """Add a step; return the subgraph and what comes next in it, if LangGraph knows it."""
        namespace = stored.config["configurable"]["checkpoint_ns"]
        steps, root = self._steps(namespace), stored.metadata.get("parents", {}).get("")
        if steps is None or root is None:
            self._journal.add(GraphWrite(store=store))
            return None, None
        snapshot = self._host.persist(lambda: steps.snapshot(stored))
        step = present_subgraph_step(snapshot, stored, UUID(root))
        self._journal.add(InnerStep(store=store, step=step))
        if step.tasks.next:
            self._latest[namespace] = stored
        else:
            self._latest.pop(namespace, None)
        return steps.graph, step.tasks

    def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, store: Store) -> None:
        """Add what a task has written."""
        namespace, checkpoint_id = (config["configurable"][name] for name in ("checkpoint_ns", "checkpoint_id"))
        steps = self._steps(namespace)
        found = None if steps is None else self._stored(namespace, checkpoint_id, config)
        if steps is None or found is None:
            self._journal.add(GraphWrite(store=store))
            return
        changed = self._latest[namespace] = with_writes(found, writes, task_id)
        tasks = self._host.persist(lambda: steps.tasks(changed))
        self._journal.add(InnerTasks(store=store, namespace=namespace, checkpoint_id=UUID(checkpoint_id), tasks=tasks))

    def _stored(self, namespace: str, checkpoint_id: str, config: RunnableConfig) -> CheckpointTuple | None:
        known = self._latest.get(namespace)
        if known is not None and known.checkpoint["id"] == checkpoint_id:
            return known
        return self._host.persist(lambda: self._read(config))

    def _steps(self, namespace: str) -> Steps | None:
        if len(namespace) > LONGEST_NAMESPACE:
            return None
        name = recast_checkpoint_ns(namespace)
        if name not in self._found:
            found = next((one for _, one in self._graph.get_subgraphs(namespace=name, recurse=True)), None)
            self._found[name] = Steps(found, self._read) if isinstance(found, Pregel) else None
        return self._found[name]


def with_writes(found: CheckpointTuple, writes: Sequence[tuple[str, Any]], task_id: str) -> CheckpointTuple:
    """The checkpoint with what a task has written beside it, as it will be read once it is stored."""
    channels = {channel for channel, _ in writes}
    kept = [one for one in found.pending_writes or [] if one[0] != task_id or one[1] not in channels]
    return found._replace(pending_writes=[*kept, *((task_id, channel, value) for channel, value in writes)])


def stored_tuple(
    config: RunnableConfig, thread_id: str, checkpoint: Checkpoint, metadata: CheckpointMetadata
) -> CheckpointTuple:
    """A checkpoint as it will be read once it is stored."""
    configurable = config["configurable"]
    namespace, parent = configurable.get("checkpoint_ns", ""), configurable.get("checkpoint_id")
    merged: Any = {**(config.get("metadata") or {}), **metadata}
    reference = {"thread_id": thread_id, "checkpoint_ns": namespace}
    return CheckpointTuple(
        {"configurable": {**reference, "checkpoint_id": checkpoint["id"]}},
        checkpoint,
        merged,
        None if parent is None else {"configurable": {**reference, "checkpoint_id": parent}},
        [],
    )
