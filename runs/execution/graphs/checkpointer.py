"""LangGraph's checkpointer bound to one attempt: it reads the thread's head and what led to it, and writes fenced.

By the id of a checkpoint alone LangGraph would execute finished siblings again, start from what was rolled back where
the head is null, and leave the memory of subgraphs behind.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
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

from runs.execution.graphs import journal, reporting, subgraphs
from runs.execution.graphs.durability import INTERNAL_TASK, Durability
from runs.execution.graphs.journal import Journal
from runs.execution.graphs.reporting import Messages
from runs.execution.graphs.rows import VisibleRows
from runs.execution.graphs.snapshot import Graph, Steps, present_checkpoint
from runs.execution.graphs.start import Start, names_of
from runs.execution.graphs.subgraphs import SubgraphSteps, stored_tuple, with_writes
from runs.execution.graphs.writing import Writing
from runs.models import Run
from runs.services.graph_checkpoints import GraphCheckpoint
from runs.services.graph_rows import layer_of
from runs.services.graph_writes import GraphWrite, RootStep, RootTasks, Store
from runs.services.history import lineage_ids


class Host(journal.Host, reporting.Host, subgraphs.Host, Protocol):
    """The executor, as far as a checkpointer needs it."""

    @property
    def must_stop(self) -> bool:
        """Whether the attempt has been told to stop."""

    def check_lease(self) -> None:
        """Pause while another worker may be taking over."""


class FencedCheckpointer(BaseCheckpointSaver[str]):
    """The checkpointer of one attempt."""

    def __init__(
        self, run: Run, graph: Graph, start: Start, *, rows: VisibleRows, host: Host, journal: Journal
    ) -> None:
        super().__init__(serde=rows.serde)
        self._run, self._rows, self._host, self._journal = run, rows, host, journal
        self._graph, self._durability = graph, Durability(run)
        self._writing = Writing(journal, can_be_here=self._durability.is_sync)
        self._steps = Steps(graph, self._read)
        self._subgraphs = SubgraphSteps(graph, host, journal, self._get)
        self._thread = str(run.thread_id)
        self._layer = layer_of(run)
        self._tip, self._head = start.tip, start.head
        #: The head is null, and nothing was put that becomes it.
        self._is_empty = start.tip is None
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
        if self._is_beginning(config):
            return None
        return self._writing.do(lambda: self._read(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The same for a graph in an event loop."""
        if self._is_beginning(config):
            return None
        return await self._writing.ado(lambda: self._read(config))

    def _is_beginning(self, config: RunnableConfig) -> bool:
        """Whether the head is asked for, and there is none yet."""
        return self._is_empty and not config["configurable"].get("checkpoint_ns") and not get_checkpoint_id(config)

    def _read(self, config: RunnableConfig) -> CheckpointTuple | None:
        self._writing.must_not_read()
        return self._host.persist(lambda: self._get(config))

    def _get(self, config: RunnableConfig) -> CheckpointTuple | None:
        self._journal.store()
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
        yield from self._writing.do(lambda: self._host.persist(lambda: self._list(config, filter, before, limit)))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The same for a graph in an event loop."""
        for found in await self._writing.ado(
            lambda: self._host.persist(lambda: self._list(config, filter, before, limit))
        ):
            yield found

    def _list(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> "Sequence[CheckpointTuple]":
        self._journal.store()
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
        return self._writing.do(lambda: self._host.persist(lambda: self._history(config, channels)))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """The same for a graph in an event loop."""
        return await self._writing.ado(lambda: self._host.persist(lambda: self._history(config, channels)))

    def _history(self, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, DeltaChannelHistory]:
        self._journal.store()
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
        self._is_empty = False
        put = partial(self._put, config, checkpoint, metadata, new_versions)
        self._writing.write(put, waits=self._durability.is_sync)
        return self._config(config, checkpoint["id"])

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """The same for a graph in an event loop."""
        self._is_empty = False
        put = partial(self._put, config, checkpoint, metadata, new_versions)
        await self._writing.awrite(config, put, waits=self._durability.is_sync)
        return self._config(config, checkpoint["id"])

    def _put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, versions: ChannelVersions
    ) -> bool:
        """Read the step, which the graph changes as soon as it goes on; with `sync` it waits at least for that.

        Returns whether it must be stored before the graph goes on.
        """
        config = self._named(config)
        store = self._rows.recorded(lambda: self._rows.put(config, checkpoint, metadata, versions))
        stored = stored_tuple(config, self._thread, checkpoint, metadata)
        namespace = config["configurable"].get("checkpoint_ns", "")
        is_durable = self._durability.of_step(namespace, metadata.get("source"))
        if namespace:
            self._know(metadata.get("parents", {}).get(""))
            self._durability.note(namespace, *self._subgraphs.put(stored, store))
        else:
            tasks = self._put_root(stored, store).tasks
            self._durability.note(namespace, self._graph, tasks)
            is_durable = is_durable and bool(tasks.next)  # the last step is stored with the outcome
        return is_durable

    def _put_root(self, stored: CheckpointTuple, store: Store) -> GraphCheckpoint:
        parent = None if stored.parent_config is None else get_checkpoint_id(stored.parent_config)
        self._host.check_lease()
        snapshot = self._steps.snapshot(stored)
        step = present_checkpoint(snapshot, stored, self._our_name(parent))
        adopted = self._unstored - {str(step.id)} if self._durability.is_exit else set()
        self._host.report(**self._messages.report(step.values))
        self._journal.add(RootStep(store=store, checkpoint=step, adopted=adopted))
        self._tip, self._head, self._stored = str(step.id), step.id, stored
        self._know(self._tip)
        self._unstored.clear()
        return step

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task has written. Raises the interruption if the attempt is fenced."""
        is_durable = self._durability.of_writes(writes)
        self._writing.write(partial(self._put_writes, config, writes, task_id, task_path, is_durable), waits=is_durable)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """The same for a graph in an event loop."""
        is_durable = self._durability.of_writes(writes)
        put = partial(self._put_writes, config, writes, task_id, task_path, is_durable)
        await self._writing.awrite(config, put, waits=is_durable)

    def head_for(self, layer: str, tip: str) -> tuple[CheckpointTuple | None, set[str]]:
        """The head, and its tasks for which the run of this layer has stored something in an earlier attempt."""

        def read() -> tuple[CheckpointTuple | None, set[str]]:
            own = self._rows.answered_by(self._thread, tip, layer)
            return self._get(self._config({"configurable": {}}, tip)), own

        return self._writing.do(lambda: self._host.persist(read))

    def forget_taken_answer(self, found: CheckpointTuple | None, own: set[str]) -> None:
        """An answer by value that a task of this run has taken is not read again: its next question would get it."""
        writes = [] if found is None else found.pending_writes or []
        if INTERNAL_TASK in own and any(
            task in own - {INTERNAL_TASK} and what == "__resume__" for task, what, _ in writes
        ):
            self._taken_at = self._tip

    def _put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
        is_durable: bool,
    ) -> bool:
        if self._host.must_stop and any(channel == "__error__" for channel, _ in writes):
            return False  # the interruption is no error of the task's
        task = f"{task_id}{self._layer}"
        store = self._rows.recorded(lambda: self._rows.put_writes(config, writes, task, task_path))
        configurable = config["configurable"]
        is_of_tip = not configurable.get("checkpoint_ns") and configurable.get("checkpoint_id") == self._tip
        if task_id != INTERNAL_TASK and is_of_tip:
            self._journal.add(self._of_task(writes, task_id, store))
        elif task_id != INTERNAL_TASK and configurable.get("checkpoint_ns"):
            self._subgraphs.put_writes(config, writes, task_id, store)
        else:
            self._journal.add(GraphWrite(store=store))
        return is_durable

    def _of_task(self, writes: Sequence[tuple[str, Any]], task_id: str, store: Store) -> GraphWrite:
        """What the thread shows of its head changes, too."""
        self._host.check_lease()
        found = self._stored or self._read(self._config({"configurable": {}}, self._tip))
        if found is None or self._head is None:
            return GraphWrite(store=store)
        changed = self._stored = with_writes(found, writes, task_id)
        tasks = self._steps.tasks(changed)
        return RootTasks(store=store, checkpoint_id=self._head, tasks=tasks)

    def _know(self, root: str | None) -> None:
        if root is not None and root not in self._roots:
            self._unstored.add(root)
            self._roots[root] = None

    def _lineage(self) -> "Sequence[str]":
        """All that led to the head. Read when it is first asked for: few graphs do, and it is as long as the thread."""
        if not self._knows_lineage:
            self._roots |= dict.fromkeys(names_of(lineage_ids(self._origin)))
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
