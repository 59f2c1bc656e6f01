"""Which writes of a graph must be in the database before it goes on."""

from collections.abc import Sequence
from typing import Any

from runs.execution.graphs.snapshot import Graph
from runs.models import Run
from runs.services.graph_checkpoints import GraphTasks

#: The task under which LangGraph writes what it was given from outside.
INTERNAL_TASK = "00000000-0000-0000-0000-000000000000"
_START = "__start__"
#: LangGraph promises that this is stored before a node's error handler begins.
_ERROR_SOURCE_NODE = "__error_source_node__"


class Durability:
    """`sync`: no task begins before the work that led to it is stored. `async`, `exit`: nobody waits.

    Work is what nodes, and choices between them, have done. What a graph makes of its input before any of them follows
    from the head and the request, which are stored. It is asked about the steps of a namespace in their order.
    """

    def __init__(self, run: Run) -> None:
        asked = run.kwargs.get("durability") or "sync"
        self.is_exit = asked == "exit"
        self.is_sync = asked == "sync"
        #: Namespaces in which nothing has happened yet but that there was an input.
        self._beginning: set[str] = set()

    def of_step(self, namespace: str, source: str | None) -> bool:
        """Whether the graph must wait until this step is stored; `source`: what LangGraph says it comes from."""
        return self.is_sync and source == "loop" and namespace not in self._beginning

    def note(self, namespace: str, graph: Graph | None, tasks: GraphTasks | None) -> None:
        """What comes after the step, as far as that is known."""
        if tasks is not None and tasks.next == [_START] and not _chooses_its_start(graph):
            self._beginning.add(namespace)
        else:
            self._beginning.discard(namespace)

    def of_writes(self, writes: Sequence[tuple[str, Any]]) -> bool:
        """Whether the graph must wait until this is stored that a task has written; what is not, its step waits for."""
        return self.is_sync and any(channel == _ERROR_SOURCE_NODE for channel, _ in writes)


def _chooses_its_start(graph: Graph | None) -> bool:
    """Whether code of the graph's chooses its first node."""
    return bool(getattr(getattr(graph, "builder", None), "branches", {}).get(_START))
