"""Driving a graph from its start to its end, in the main thread or in an event loop."""

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import aclosing, closing
from typing import Any

from langgraph.types import StateUpdate

from runs.assistants.graphs.loading import load
from runs.assistants.graphs.opening import compile_graph, is_graph, open_graph
from runs.assistants.graphs.project import GraphReference
from runs.errors import Interruption
from runs.execution.drivers import drive
from runs.execution.graphs import checkpointer
from runs.execution.graphs.calls import Call, make_config, make_input, make_options, make_updates
from runs.execution.graphs.checkpointer import FencedCheckpointer
from runs.execution.graphs.frames import GraphFrames
from runs.execution.graphs.journal import Journal, Section
from runs.execution.graphs.kinds import needs_event_loop
from runs.execution.graphs.reporting import ModelCalls
from runs.execution.graphs.rows import VisibleRows
from runs.execution.graphs.scribe import scribe
from runs.execution.graphs.snapshot import Graph
from runs.execution.graphs.start import find_start
from runs.execution.graphs.store import FencedStore
from runs.execution.interruption import Guard
from runs.models import Run
from runs.services.graph_rows import layer_of
from runs.services.graph_state import KEY
from runs.services.graph_writes import GraphWrite

logger = logging.getLogger(__name__)


class GraphDriver:
    """One attempt of a graph."""

    def __init__(
        self, reference: GraphReference, run: Run, host: checkpointer.Host, guard: Guard, frames: GraphFrames
    ) -> None:
        self._reference, self._run, self._host = reference, run, host
        self._guard, self._frames = guard, frames
        self._rows = VisibleRows()
        self._store = FencedStore(run, reference.project, host)
        self._journal = Journal(run, host, self._submit, self._section)

    def _submit(self, job: Callable[[], Any]) -> "Future[Any]":
        """Have a job of the attempt's done, in the order of all of them."""
        return scribe.submit(job)

    @property
    def _section(self) -> Section | None:
        """In which the attempt's own code does a job of the executor's; None where the code of others would wait."""
        return self._guard.own_section

    def drive(self) -> Sequence[GraphWrite]:
        """Execute the graph and return what is to be stored with the outcome; whatever leaves it leaves this function.

        What was submitted is done before the attempt is said to have left. Raises GraphNotLoaded, CheckpointNotFound.
        """
        self._begin()
        try:
            drive(self._execute, self._guard, _no_steps)
            closed = self._journal.close_here()
            return self._journal.submit(self._journal.close).result() if closed is None else closed
        except BaseException:
            self._submit(self._store_rest).result()
            raise

    def _store_rest(self) -> None:
        """What was written before the graph failed; why it did is known, and says more than what becomes of this."""
        try:
            self._journal.store()
        except Interruption:
            logger.info("run %s attempt %s was stopped before its last writes", self._run.pk, self._run.attempt)
        except Exception:
            logger.exception("run %s: what its graph has written last could not be stored", self._run.pk)
        self._journal.close()

    def _begin(self) -> None:
        """Show that the attempt has begun, and read where; in a thread that has the executor's connection."""
        self._frames.begin()
        self._start = self._host.persist(lambda: find_start(self._run, self._rows))
        #: None: it is a run.
        self._updates = self._host.persist(self._find_updates) if KEY in self._run.kwargs else None

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
        self._graph = graph.copy(update={"checkpointer": None, "store": self._store})
        self._saver = self._graph.checkpointer = FencedCheckpointer(
            self._run, self._graph, self._start, rows=self._rows, host=self._host, journal=self._journal
        )
        options = make_options(self._run, graph)
        options |= {"stream_mode": self._frames.modes, "subgraphs": self._frames.has_subgraphs}
        config = make_config(self._run, self._start)
        config["callbacks"] = [ModelCalls(self._run, self._host)]
        return Call(self._given(), config, options)

    def _find_updates(self) -> list[list[StateUpdate]]:
        """The updates of the state that this run is for and that no earlier attempt has stored."""
        return make_updates(self._run.kwargs[KEY])[self._run.checkpoints.count() :]

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
