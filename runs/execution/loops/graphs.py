"""Driving a graph on a loop that other attempts share."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from runs.execution.graphs.calls import Call
from runs.execution.graphs.driving import GraphDriver
from runs.execution.graphs.scribe import scribe
from runs.execution.graphs.snapshot import Graph
from runs.execution.loops.attempt import LoopAttempt
from runs.execution.loops.owner import current_owner
from runs.services.graph_writes import GraphWrite


class LoopGraphDriver(GraphDriver):
    """One attempt of a graph. Plain nodes are executed in threads, as LangGraph does it in a loop."""

    _host: LoopAttempt

    def _submit(self, job: Callable[[], Any]) -> "Future[Any]":
        return self._host.lane.submit(job)

    _section = None

    async def drive_on_loop(self) -> Sequence[GraphWrite]:
        """As `drive`."""
        attempt = self._host
        attempt.guard.owner.scribe = attempt.lane.submit
        await asyncio.wrap_future(self._submit(self._begin))
        try:
            await attempt.as_task(self._in_event_loop)
            closed = self._journal.close_here()
            return await asyncio.wrap_future(self._journal.submit(self._journal.close)) if closed is None else closed
        except BaseException:
            await asyncio.wrap_future(self._submit(self._store_rest))
            raise

    async def _prepare_in_event_loop(self, graph: Graph) -> Call:
        """A later attempt reads what the one before has stored."""
        if self._run.attempt == 1:
            return self._prepare(graph)
        return await asyncio.to_thread(self._prepare, graph)


def share_scribe() -> None:
    """Each attempt's checkpoints are read and written in order, beside those of others."""
    scribe.find_other = _lane_of_owner


def _lane_of_owner() -> Callable[[Callable[[], Any]], Future[Any]] | None:
    owner = current_owner()
    return None if owner is None else owner.scribe
