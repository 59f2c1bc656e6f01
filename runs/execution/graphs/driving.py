"""Driving a graph from its start to its end, in the main thread or in an event loop."""

from collections.abc import Generator
from contextlib import aclosing, closing
from typing import Any, Protocol

from runs.assistants.graphs.loading import load
from runs.assistants.graphs.opening import compile_graph, is_graph, open_graph
from runs.assistants.graphs.project import GraphReference
from runs.execution.drivers import drive
from runs.execution.graphs import checkpointer
from runs.execution.graphs.calls import Call, make_config, make_input, make_options
from runs.execution.graphs.checkpointer import FencedCheckpointer, Start, find_start
from runs.execution.graphs.frames import GraphFrames
from runs.execution.graphs.kinds import needs_event_loop
from runs.execution.graphs.rows import VisibleRows
from runs.execution.graphs.scribe import scribe
from runs.execution.graphs.snapshot import Graph
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

    def drive(self) -> None:
        """Execute the graph; whatever leaves it leaves this function. Raises GraphNotLoaded, CheckpointNotFound."""
        self._start = scribe.do(self._find_start)
        self._frames.begin()
        try:
            drive(self._execute, self._guard, _no_steps)
        finally:
            scribe.do(_nothing)  # what was submitted is done before the attempt is said to have left

    def _find_start(self) -> Start:
        return self._host.persist(lambda: find_start(self._run, self._rows))

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
        if (update := self._run.kwargs.get(KEY)) is not None:
            if self._is_due:
                self._graph.update_state(call.config, **update)
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
            self._reference, access="threads.create_run", config=dict(config), context=kwargs.get("context")
        )
        async with opened as graph:
            call = await self._prepare_in_event_loop(graph)
            if (update := self._run.kwargs.get(KEY)) is not None:
                if self._is_due:
                    await self._graph.aupdate_state(call.config, **update)
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
        self._graph = graph.copy(update={"checkpointer": self._saver})
        options = make_options(self._run, graph)
        options |= {"stream_mode": self._frames.modes, "subgraphs": self._frames.has_subgraphs}
        return Call(self._given(), make_config(self._run, self._start), options)

    @property
    def _is_due(self) -> bool:
        """Whether an update of the state was not stored by an attempt before."""
        return self._run.attempt == 1 or self._start.head == self._run.base_id

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
