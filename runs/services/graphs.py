"""What is known of graphs and functions, also in processes that cannot import them."""

import time
from dataclasses import dataclass
from typing import Any

from runs.assistants import Assistant as Definition
from runs.assistants import registry
from runs.errors import GraphNotDescribed, UnknownAssistant
from runs.models import Graph

#: How long a process believes what it has read of a graph that it does not know by itself.
REMEMBER_SECONDS = 5.0
#: The JSON schemas that a graph may have.
SCHEMAS = ("input_schema", "output_schema", "state_schema", "config_schema", "context_schema")


@dataclass(frozen=True)
class KnownGraph:
    """What admission must know of a graph."""

    name: str
    timeout_seconds: float | None
    is_function: bool


_remembered: dict[str, tuple[float, KnownGraph]] = {}


def known_graph(name: str) -> KnownGraph:
    """Return the graph of this name, or raise UnknownAssistant naming those there are.

    Without a query if this process has its registration, and mostly without one if not.
    """
    if (definition := registry.registered().get(name)) is not None:
        return KnownGraph(name, definition.timeout_seconds, definition.graph is None)
    until, known = _remembered.get(name, (0.0, None))
    if known is not None and time.monotonic() < until:
        return known
    row = Graph.objects.filter(pk=name).only("timeout_seconds", "is_function").first()
    if row is None:
        _remembered.pop(name, None)
        names = ", ".join(graph_names()) or "none"
        raise UnknownAssistant(
            f"Invalid assistant: {name!r}. Must be the id or the name of a registered assistant: {names}."
        )
    known = KnownGraph(name, row.timeout_seconds, row.is_function)
    _remembered[name] = (time.monotonic() + REMEMBER_SECONDS, known)
    return known


def forget() -> None:
    """Read everything again at its next use."""
    _remembered.clear()


def graph_names() -> list[str]:
    """The names of all graphs that this process or any other has registered."""
    return sorted({*registry.registered(), *Graph.objects.values_list("name", flat=True)})


def describe_function(definition: Definition) -> Graph:
    """The row of a function: to a client it is a graph with one node and without schemas."""
    name = definition.name
    nodes = [{"id": "__start__", "type": "runnable", "data": {"name": "__start__"}}]
    nodes += [{"id": name, "type": "runnable", "data": {"name": name}}, {"id": "__end__"}]
    edges = [{"source": "__start__", "target": name}, {"source": name, "target": "__end__"}]
    return Graph(
        name=name,
        description=definition.description,
        is_function=True,
        timeout_seconds=definition.timeout_seconds,
        schemas=dict.fromkeys(SCHEMAS),
        drawings=[{"nodes": nodes, "edges": edges}],
    )


def described_graph(name: str) -> Graph:
    """Return the graph with its description. Raises GraphNotDescribed."""
    row = Graph.objects.filter(pk=name).first()
    if row is None or row.problem:
        raise GraphNotDescribed
    return row


def drawing(graph: Graph, xray: int | bool) -> dict[str, Any]:
    """The drawing with so many levels of subgraphs opened; True opens all."""
    deepest = len(graph.drawings) - 1
    found: dict[str, Any] = graph.drawings[deepest if xray is True else min(int(xray), deepest)]
    return found


def subgraphs(graph: Graph, *, namespace: str | None = None, recurse: bool = False) -> dict[str, Any]:
    """The schemas of the subgraphs by namespace; those of subgraphs only with `recurse`."""
    wanted = {name: schemas for name, schemas in graph.subgraphs.items() if recurse or "|" not in name}
    return wanted if namespace is None else {name: found for name, found in wanted.items() if name == namespace}
