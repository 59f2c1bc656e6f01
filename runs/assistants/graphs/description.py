"""What a graph looks like, said without executing it: for those who must not import it."""

import asyncio
import contextlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from runs.assistants.graphs.project import GraphReference

Schema = dict[str, Any]


@dataclass(frozen=True)
class GraphSchemas:
    """JSON schemas; None: the graph has none, or it cannot be said in JSON Schema."""

    input_schema: Schema | None = None
    output_schema: Schema | None = None
    state_schema: Schema | None = None
    config_schema: Schema | None = None
    context_schema: Schema | None = None


@dataclass(frozen=True)
class GraphDescription:
    """All that the API shows of a graph. Everything in it is JSON."""

    graph_id: str
    description: str
    schemas: GraphSchemas
    #: {"nodes", "edges"} by depth of `xray`: the first is the graph alone, the last has every subgraph opened.
    drawings: list[dict[str, Any]]
    #: namespace -> its schemas; those of subgraphs in subgraphs are "outer|inner".
    subgraphs: Mapping[str, GraphSchemas] = field(default_factory=dict)

    def drawing(self, xray: int | bool) -> dict[str, Any]:
        """The drawing for `xray`: False, True (everything) or how many levels to open."""
        level = len(self.drawings) - 1 if xray is True or xray < 0 else int(xray)
        return self.drawings[min(level, len(self.drawings) - 1)]


def describe_graph(reference: GraphReference) -> GraphDescription:
    """Import the graph and describe it. Raises GraphNotLoaded, also if its factory fails."""
    return asyncio.run(_describe(reference))


async def _describe(reference: GraphReference) -> GraphDescription:
    from runs.assistants.graphs.loading import GraphNotLoaded, require_langgraph

    require_langgraph(reference.name)
    from runs.assistants.graphs.opening import open_graph

    try:
        async with open_graph(reference, access="assistants.read") as graph:
            subgraphs = dict(graph.get_subgraphs(recurse=True))
            depth = max((namespace.count("|") + 1 for namespace in subgraphs), default=0)
            return GraphDescription(
                graph_id=reference.name,
                description=reference.description,
                schemas=_schemas(graph),
                drawings=[graph.get_graph(xray=level or False).to_json() for level in range(depth + 1)],
                subgraphs={namespace: _schemas(subgraph) for namespace, subgraph in subgraphs.items()},
            )
    except GraphNotLoaded:
        raise
    except Exception as error:
        raise GraphNotLoaded(
            f"Graph {reference.name!r} ({reference.target}): {type(error).__name__}: {error}"
        ) from error


def _schemas(graph: Any) -> GraphSchemas:
    builder: Any = getattr(graph, "builder", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GraphSchemas(
            input_schema=_schema(graph.get_input_jsonschema, lambda: _of_type(builder.input_schema)),
            output_schema=_schema(graph.get_output_jsonschema, lambda: _of_type(builder.output_schema)),
            state_schema=_schema(lambda: _of_state(graph)),
            config_schema=_schema(graph.get_config_jsonschema),
            context_schema=_schema(graph.get_context_jsonschema, lambda: _of_type(graph.context_schema)),
        )


def _schema(*ways: Callable[[], Schema | None]) -> Schema | None:
    """A type that cannot be described costs the graph this schema, nothing else."""
    for make in ways:
        with contextlib.suppress(Exception):
            return make()
    return None


def _of_type(described: Any) -> Schema:
    """Before Python 3.12 pydantic refuses a TypedDict of `typing`, which is what most graphs have: member by member."""
    return _object(described.__name__, get_type_hints(described))


def _of_state(graph: Any) -> Schema:
    return _object(
        graph.get_name("State"), {name: graph.channels[name].UpdateType for name in graph.stream_channels_list}
    )


def _object(title: str, members: Mapping[str, Any]) -> Schema:
    from pydantic import create_model

    fields: dict[str, Any] = {name: (kind if _is_describable(kind) else Any, None) for name, kind in members.items()}
    schema: Schema = create_model(title, **fields).model_json_schema()
    return schema


def _is_describable(kind: Any) -> bool:
    from pydantic import TypeAdapter

    try:
        TypeAdapter(kind).json_schema()
    except Exception:
        return False
    return True
