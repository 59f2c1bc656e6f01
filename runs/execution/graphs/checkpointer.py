"""LangGraph's checkpointer bound to one attempt: it reads the thread's head and what led to it, and writes fenced.

By the id of a checkpoint alone LangGraph would execute finished siblings again, start from what was rolled back where
the head is null, and leave the memory of subgraphs behind.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
)

from runs.errors import CheckpointNotFound
from runs.execution.graphs import reporting, subgraphs
from runs.execution.graphs.reporting import Messages
from runs.execution.graphs.rows import VisibleRows
from runs.execution.graphs.scribe import scribe
from runs.execution.graphs.snapshot import Graph, Steps, present_checkpoint
from runs.execution.graphs.subgraphs import SubgraphSteps, stored_tuple, with_writes
from runs.models import Checkpoint as CheckpointRow
from runs.models import Run
from runs.services.graph_checkpoints import put_checkpoint, put_tasks
from runs.services.graph_rows import layer_of
from runs.services.history import langgraph_ids, lineage_ids

T = TypeVar("T")
INTERNAL_TASK = "00000000-0000-0000-0000-000000000000"


class Host(reporting.Host, subgraphs.Host, Protocol):
    """The executor, as far as a checkpointer needs it."""

    @property
    def must_stop(self) -> bool:
        """Whether the attempt has been told to stop."""


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
    if start is not None and not CheckpointRow.objects.forkable().filter(thread=run.thread_id, pk=start).exists():
        raise CheckpointNotFound
    fork = None if start is None else str(langgraph_ids([start])[0])
    return Start(head, _find_tip(run.thread_id, head, rows), fork, start or head, _values_of(start or run.base_id))


def _values_of(checkpoint_id: UUID | None) -> Any:
    found = (
        CheckpointRow.objects.filter(pk=checkpoint_id) if checkpoint_id is not None else CheckpointRow.objects.none()
    )
    return found.values_list("values", flat=True).first()


def _find_tip(thread_id: UUID, head: UUID | None, rows: VisibleRows) -> str | None:
    """The latest of the head's lineage that LangGraph knows: almost always the head itself, so it is asked first."""
    for length in (1, 100, None):
        lineage = lineage_ids(head, length)
        if found := rows.latest_of(str(thread_id), _names(lineage)):
            return found
        if length is None or len(lineage) < length:
            break
    return None


def _names(checkpoint_ids: Sequence[UUID]) -> list[str]:
    return [str(one) for one in langgraph_ids(checkpoint_ids)]


class FencedCheckpointer(BaseCheckpointSaver[str]):
    """The checkpointer of one attempt."""

    def __init__(self, run: Run, graph: Graph, start: Start, rows: VisibleRows, host: Host) -> None:
        super().__init__(serde=rows.serde)
        self._run, self._rows, self._host = run, rows, host
        self._steps = Steps(graph.copy(update={"checkpointer": None}), self._get)
        self._subgraphs = SubgraphSteps(run, graph, host, self._get)
        self._thread = str(run.thread_id)
        self._layer = layer_of(run)
        self._tip, self._head = start.tip, start.head
        self._origin = start.origin
        #: Steps of the root graph that this attempt has seen, and once it is known everything that led to them.
        self._roots: dict[str, None] = dict.fromkeys(one for one in (start.tip, start.fork) if one is not None)
        self._knows_lineage = False
        #: Those of them that are not stored: with durability `exit` only the last step is.
        self._unstored: set[str] = set()
        self._names = {start.tip: start.head}
        self._messages = Messages(start.values)
        #: The head, if an answer to its question has been taken by an earlier attempt.
        self._taken_at: str | None = None
        #: The tip with what its tasks have written so far.
        self._stored: CheckpointTuple | None = None

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The named checkpoint; without an id the head, or the latest in the namespace that led to it."""
        return scribe.do(lambda: self._host.persist(lambda: self._get(config)))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The same for a graph in an event loop."""
        return await scribe.ado(lambda: self._host.persist(lambda: self._get(config)))

    def _get(self, config: RunnableConfig) -> CheckpointTuple | None:
        namespace = config["configurable"].get("checkpoint_ns", "")
        wanted = get_checkpoint_id(config) or (self._tip if namespace == "" else None)
        if namespace == "" and wanted is None:
            return None
        roots = self._lineage() if wanted is None else []
        found = self._rows.visible(self._thread, namespace, roots, checkpoint_id=wanted, limit=1)
        return self._without_taken(found[0]) if found else None

    def _without_taken(self, found: CheckpointTuple) -> CheckpointTuple:
        if found.checkpoint["id"] != self._taken_at:
            return found
        left = [one for one in found.pending_writes or [] if one[:2] != (INTERNAL_TASK, "__resume__")]
        return found._replace(pending_writes=left)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The head and what led to it, in the config's namespace, the latest first."""
        yield from scribe.do(lambda: self._host.persist(lambda: self._list(config, filter, before, limit)))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The same for a graph in an event loop."""
        for found in await scribe.ado(lambda: self._host.persist(lambda: self._list(config, filter, before, limit))):
            yield found

    def _list(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> "Sequence[CheckpointTuple]":
        config = config or {"configurable": {}}
        named = get_checkpoint_id(config)
        return self._rows.visible(
            self._thread,
            config["configurable"].get("checkpoint_ns", ""),
            [] if named is not None else self._lineage(),
            checkpoint_id=named,
            before=None if before is None else get_checkpoint_id(before),
            metadata=wanted,
            limit=limit,
        )

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What a channel's value is made of."""
        return scribe.do(lambda: self._host.persist(lambda: self._history(config, channels)))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """The same for a graph in an event loop."""
        return await scribe.ado(lambda: self._host.persist(lambda: self._history(config, channels)))

    def _history(self, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, DeltaChannelHistory]:
        if get_checkpoint_id(config) is None:
            found = self._get(config)
            if found is None:
                return {channel: {"writes": []} for channel in channels}
            config = found.config
        return self._rows.get_delta_channel_history(config=config, channels=channels)

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a step; one of the root graph becomes the head. Raises the interruption if the attempt is fenced."""
        return scribe.do(lambda: self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """The same for a graph in an event loop."""
        return await scribe.ado(lambda: self._put(config, checkpoint, metadata, new_versions))

    def _put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, versions: ChannelVersions
    ) -> RunnableConfig:
        config = self._named(config)

        def store() -> RunnableConfig:
            return self._rows.put(config, checkpoint, metadata, versions)

        stored = stored_tuple(config, self._thread, checkpoint, metadata)
        if config["configurable"].get("checkpoint_ns"):
            self._know(metadata.get("parents", {}).get(""))
            self._subgraphs.put(stored, store)
        else:
            self._put_root(stored, store)
        return stored.config

    def _put_root(self, stored: CheckpointTuple, store: Callable[[], object]) -> None:
        parent = None if stored.parent_config is None else get_checkpoint_id(stored.parent_config)
        snapshot = self._host.persist(lambda: self._steps.snapshot(stored))
        row = present_checkpoint(snapshot, stored, self._our_name(parent))
        run, adopted = self._run, self._unstored if _is_stored_at_its_exit(self._run) else set()
        self._host.report(**self._messages.report(row.values))
        self._host.persist_report(
            lambda report: put_checkpoint(
                run_id=run.pk,
                thread_id=run.thread_id,
                attempt=run.attempt,
                checkpoint=row,
                store=store,
                report=report,
                adopted=adopted - {str(row.id)},
            )
        )
        self._tip, self._head, self._stored = str(row.id), row.id, stored
        self._know(self._tip)
        self._unstored.clear()

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task has written. Raises the interruption if the attempt is fenced."""
        scribe.do(lambda: self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """The same for a graph in an event loop."""
        await scribe.ado(lambda: self._put_writes(config, writes, task_id, task_path))

    def head_for(self, layer: str, tip: str) -> tuple[CheckpointTuple | None, set[str]]:
        """The head, and its tasks for which the run of this layer has stored something in an earlier attempt."""

        def read() -> tuple[CheckpointTuple | None, set[str]]:
            own = self._rows.answered_by(self._thread, tip, layer)
            return self._get(self._config({"configurable": {}}, tip)), own

        return scribe.do(lambda: self._host.persist(read))

    def forget_taken_answer(self, found: CheckpointTuple | None, own: set[str]) -> None:
        """An answer by value that a task of this run has taken is not read again: its next question would get it."""
        writes = [] if found is None else found.pending_writes or []
        if INTERNAL_TASK in own and any(
            task in own - {INTERNAL_TASK} and what == "__resume__" for task, what, _ in writes
        ):
            self._taken_at = self._tip

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> None:
        if self._host.must_stop and any(channel == "__error__" for channel, _ in writes):
            return  # the interruption is no error of the task's

        def store() -> None:
            self._rows.put_writes(config, writes, f"{task_id}{self._layer}", task_path)

        configurable = config["configurable"]
        is_of_tip = not configurable.get("checkpoint_ns") and configurable.get("checkpoint_id") == self._tip
        if task_id == INTERNAL_TASK:
            self._subgraphs.put_elsewhere(store)
        elif is_of_tip:
            self._put_tasks(writes, task_id, store)
        elif configurable.get("checkpoint_ns"):
            self._subgraphs.put_writes(config, writes, task_id, store)
        else:
            self._subgraphs.put_elsewhere(store)

    def _put_tasks(self, writes: Sequence[tuple[str, Any]], task_id: str, store: Callable[[], object]) -> None:
        """What the thread shows of its head changes, too."""
        found = self._stored or self._host.persist(lambda: self._get(self._config({"configurable": {}}, self._tip)))
        if found is None or self._head is None:
            self._subgraphs.put_elsewhere(store)
            return
        changed = with_writes(found, writes, task_id)
        run, head, tasks = self._run, self._head, self._host.persist(lambda: self._steps.tasks(changed))
        self._host.persist_report(
            lambda report: put_tasks(
                run_id=run.pk,
                thread_id=run.thread_id,
                attempt=run.attempt,
                checkpoint_id=head,
                tasks=tasks,
                store=store,
                report=report,
            )
        )
        self._stored = changed

    def _know(self, root: str | None) -> None:
        if root is not None and root not in self._roots:
            self._unstored.add(root)
            self._roots[root] = None

    def _lineage(self) -> "Sequence[str]":
        """All that led to the head. Read when it is first asked for: few graphs do, and it is as long as the thread."""
        if not self._knows_lineage:
            self._roots |= dict.fromkeys(_names(lineage_ids(self._origin)))
            self._knows_lineage = True
        return [*self._roots]

    def _our_name(self, parent: str | None) -> UUID | None:
        if parent is None:
            return None
        return self._names.get(parent) or UUID(parent)

    def _config(self, config: RunnableConfig, checkpoint_id: str | None) -> RunnableConfig:
        namespace = config["configurable"].get("checkpoint_ns", "")
        return {
            "configurable": {
                "thread_id": self._thread,
                "checkpoint_ns": namespace,
                "checkpoint_id": checkpoint_id,
            }
        }

    def _named(self, config: RunnableConfig) -> RunnableConfig:
        """Every row says which run it is of, whatever the graph has made of the config."""
        named = {"run_id": str(self._run.pk), "run_attempt": self._run.attempt}
        return {**config, "metadata": {**(config.get("metadata") or {}), **named}}

    # What LangGraph asks besides

    def get_next_version(self, current: Any, channel: None) -> str:
        """The version of a channel after this one."""
        return self._rows.get_next_version(current, channel)

    def delete_thread(self, thread_id: str) -> None:
        """Threads are deleted by the server."""
        raise NotImplementedError("Delete the thread through the API.")


def _is_stored_at_its_exit(run: Run) -> bool:
    """Whether the steps before its last one are not stored."""
    return bool(run.kwargs.get("durability") == "exit")
