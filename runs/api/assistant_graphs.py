"""/assistants/{assistant_id}/graph, /schemas and /subgraphs: what its graph looks like."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.assistant_requests import DrawingQuery, SubgraphsQuery
from runs.api.fields import QuerySerializer
from runs.api.presenters import present_schemas
from runs.api.responses import DrawingSerializer, SchemasSerializer
from runs.api.view import ApiView
from runs.models import Graph
from runs.services import graphs
from runs.services.chosen import choose_assistant

_SCHEMA = {"type": ["object", "null"], "additionalProperties": {}}
_SCHEMAS = {
    "type": "object",
    "properties": dict.fromkeys(graphs.SCHEMAS, _SCHEMA),
    "required": list(graphs.SCHEMAS),
    "additionalProperties": False,
}
_SUBGRAPHS = OpenApiResponse(
    {"type": "object", "additionalProperties": _SCHEMAS}, description="Namespace -> its JSON schemas."
)


class DescriptionView(ApiView):
    """Takes the name of a graph for the id of the server's own assistant, as LangGraph's clients do."""

    path_ids: ClassVar[dict[str, str]] = {}

    def graph(self, name_or_id: str) -> Graph:
        """The graph with its description."""
        return graphs.described_graph(choose_assistant(name_or_id, owner=self.owner).graph_id)


class DrawingView(DescriptionView):
    """The drawing."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": DrawingQuery}

    @extend_schema(operation_id="get_assistant_graph", responses=DrawingSerializer)
    def get(self, request: Request, assistant_id: str) -> Response:
        """Return nodes and edges."""
        return Response(graphs.drawing(self.graph(assistant_id), self.query["xray"]))


class SchemasView(DescriptionView):
    """The schemas."""

    @extend_schema(operation_id="get_assistant_schemas", responses=SchemasSerializer)
    def get(self, request: Request, assistant_id: str) -> Response:
        """Return the JSON schemas of input, output, state, config and context."""
        return Response(present_schemas(self.graph(assistant_id)))


class SubgraphsView(DescriptionView):
    """All subgraphs."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": SubgraphsQuery}

    @extend_schema(operation_id="get_assistant_subgraphs", responses=_SUBGRAPHS)
    def get(self, request: Request, assistant_id: str) -> Response:
        """Return the schemas of the subgraphs by namespace."""
        return Response(graphs.subgraphs(self.graph(assistant_id), recurse=self.query["recurse"]))


class SubgraphsOfView(DescriptionView):
    """The subgraph of one namespace."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": SubgraphsQuery}

    @extend_schema(operation_id="get_assistant_subgraphs_of_namespace", responses=_SUBGRAPHS)
    def get(self, request: Request, assistant_id: str, namespace: str) -> Response:
        """Return the schemas of the subgraph with this namespace."""
        found = graphs.subgraphs(self.graph(assistant_id), namespace=namespace, recurse=self.query["recurse"])
        return Response(found)
