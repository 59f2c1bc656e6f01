"""Driving a graph from its start to its end, in the main thread or in an event loop."""

from collections.abc import Generator
from contextlib import aclosing, closing
from typing import Any, Protocol

from langgraph.types import StateUpdate

from runs.assistants.graphs.loading import load
from runs.assistants.graphs.opening import compile_graph, is_graph, open_graph
from runs.assistants.graphs.project import GraphReference
from runs.execution.drivers import drive
from runs.execution.graphs import checkpointer
from runs.execution.graphs.calls import Call, make_config, make_input, make_options, make_updates
from runs.execution.graphs.checkpointer import FencedCheckpointer, find_start
from runs.execution.graphs.frames import GraphFrames
from runs.execution.graphs.kinds import needs_event_loop
from runs.execution.graphs.reporting import ModelCalls
from runs.execution.graphs.rows import VisibleRows
from runs.execution.graphs.scribe import scribe
from runs.execution.graphs.snapshot import Graph
from runs.execution.graphs.store import FencedStore
from runs.execution.interruption import Guard
from runs.models import Run
from runs.services.graph_rows import layer_of
from runs.services.graph_state import KEY


class Host(checkpointer.Host, Protocol):
    """The executor, as far as a graph needs it."""

    def check_lease(self) -> None:
        """Pause while another worker may be taking over."""


class GraphDriver:
    """One attempt of a graph."""

    def __init__(self, reference: GraphReference, run: Run, host: Host, guard: Guard, frames: GraphFrames) -> None:
        self._reference, self._run, self._host = reference, run, host
        self._guard, self._frames = guard, frames
        self._rows = VisibleRows()
        self._store = FencedStore(run, reference.project, host)

    def drive(self) -> None:
        """Execute the graph; whatever leaves it leaves this function. Raises GraphNotLoaded, CheckpointNotFound."""
        scribe.do(self._find_start)
        self._frames.begin()
        try:
            drive(self._execute, self._guard, _no_steps)
        finally:
            scribe.do(_nothing)  # what was submitted is done before the attempt is said to have left

    def _find_start(self) -> None:
        """Read where this attempt starts, in the thread that has the connection."""
        self._start = self._host.persist(lambda: find_start(self._run, self._rows))
        self._updates = self._host.persist(self._find_updates)

    def _execute(self) -> Any:
        """Assistant code: loading is, too. Returns a coroutine if the graph needs an event loop."""
        found = load(self._reference)
        if not is_graph(found) or self._frames.has_events:
            return self._in_event_loop()
        graph = compile_graph(found, self._reference)
        if needs_event_loop(graph):
            return self._in_event_loop()
        self._in_main_thread(graph)
        return None

    def _in_main_thread(self, graph: Graph) -> None:
        call = self._prepare(graph)
        if self._updates is not None:
            if self._updates:
                self._graph.bulk_update_state(call.config, self._updates)
            return
        with closing(self._stream(call)) as chunks:
            for chunk in chunks:
                self._show(chunk)

    def _stream(self, call: Call) -> Generator[Any, None, None]:
        yield from self._graph.stream(call.input, call.config, **call.options)

    async def _in_event_loop(self) -> None:
        kwargs = self._run.kwargs
        config = make_config(self._run, self._start)
        opened = open_graph(
            self._reference,
            access="threads.create_run",
            config=dict(config),
            context=kwargs.get("context"),
            store=self._store,
        )
        async with opened as graph:
            call = await self._prepare_in_event_loop(graph)
            if self._updates is not None:
                if self._updates:
                    await self._graph.abulk_update_state(call.config, self._updates)
                return
            if self._frames.has_events:
                await self._show_events(call)
                return
            stream: Any = self._graph.astream(call.input, call.config, **call.options)
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    self._show(chunk)

    async def _show_events(self, call: Call) -> None:
        events: Any = self._graph.astream_events(call.input, call.config, version="v2", **call.options)
        async with aclosing(events) as every:
            async for event in every:
                is_chunk = event["event"] == "on_chain_stream" and event["run_id"] == str(self._run.pk)
                if is_chunk:
                    self._show(event["data"]["chunk"])
                with self._guard.own_section():
                    self._frames.event(event)

    async def _prepare_in_event_loop(self, graph: Graph) -> Call:
        return self._prepare(graph)

    def _prepare(self, graph: Graph) -> Call:
        """Bind the graph to this attempt's checkpointer, and find out what it still has to be given."""
        self._saver = FencedCheckpointer(self._run, graph, self._start, self._rows, self._host)
        self._graph = graph.copy(update={"checkpointer": self._saver, "store": self._store})
        options = make_options(self._run, graph)
        options |= {"stream_mode": self._frames.modes, "subgraphs": self._frames.has_subgraphs}
        config = make_config(self._run, self._start)
        config["callbacks"] = [ModelCalls(self._run, self._host)]
        return Call(self._given(), config, options)

    def _find_updates(self) -> list[list[StateUpdate]] | None:
        """The updates of the state that this run is for and that no earlier attempt has stored; None: it is a run."""
        if (asked := self._run.kwargs.get(KEY)) is None:
            return None
        return make_updates(asked)[self._run.checkpoints.count() :]

    def _given(self) -> Any:
        if self._run.attempt == 1 or self._start.tip is None:
            return make_input(self._run, self._start, None, set())
        tip = self._start.tip
        found, own = self._saver.head_for(layer_of(self._run), tip)
        self._saver.forget_taken_answer(found, own)
        return make_input(self._run, self._start, found, own)

    def _show(self, chunk: Any) -> None:
        """(namespace, mode, data) with subgraphs, (mode, data) without."""
        namespace, mode, data = chunk if self._frames.has_subgraphs else ((), *chunk)
        with self._guard.own_section():
            self._host.check_lease()
            self._frames.chunk(tuple(namespace), mode, data)


def _no_steps(_: Any) -> None:
    raise TypeError("A graph stores its steps itself.")


def _nothing() -> None:
    pass
