"""/assistants: create, read, change, delete, search, count."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.assistant_requests import (
    AssistantCount,
    AssistantCreate,
    AssistantDelete,
    AssistantPatch,
    AssistantSearch,
    assistant_filter,
    content_of,
)
from runs.api.fields import QuerySerializer
from runs.api.pagination import PAGE_HEADERS, page
from runs.api.presenters import present_assistant, select
from runs.api.responses import AssistantSerializer
from runs.api.view import ApiView
from runs.services.assistant_search import count_assistants, get_assistant, search_assistants
from runs.services.assistants import create_assistant, delete_assistant, update_assistant


class AssistantsView(ApiView):
    """All assistants."""

    @extend_schema(operation_id="create_assistant", request=AssistantCreate, responses=AssistantSerializer)
    def post(self, request: Request) -> Response:
        """Create an assistant: a graph under settings of its own."""
        asked = self.body(AssistantCreate)
        created = create_assistant(
            actor=self.actor,
            assistant_id=asked.get("assistant_id"),
            if_exists=asked["if_exists"],
            **content_of(asked),
        )
        return Response(present_assistant(created))


class AssistantView(ApiView):
    """One assistant."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"DELETE": AssistantDelete}

    @extend_schema(operation_id="get_assistant", responses=AssistantSerializer)
    def get(self, request: Request, assistant_id: UUID) -> Response:
        """Return the assistant."""
        return Response(present_assistant(get_assistant(assistant_id=assistant_id, owner=self.owner)))

    @extend_schema(operation_id="update_assistant", request=AssistantPatch, responses=AssistantSerializer)
    def patch(self, request: Request, assistant_id: UUID) -> Response:
        """Make a new version of the assistant, which is in force from now on."""
        content: dict[str, Any] = content_of(self.body(AssistantPatch))
        return Response(present_assistant(update_assistant(actor=self.actor, assistant_id=assistant_id, **content)))

    @extend_schema(operation_id="delete_assistant", responses={204: OpenApiResponse(description="Deleted.")})
    def delete(self, request: Request, assistant_id: UUID) -> Response:
        """Delete the assistant with its versions; its runs go on, and stay."""
        delete_assistant(actor=self.actor, assistant_id=assistant_id, threads=self.query["delete_threads"])
        return Response(status=204)


class AssistantSearchView(ApiView):
    """Assistants that match."""

    @extend_schema(
        operation_id="search_assistants",
        request=AssistantSearch,
        parameters=PAGE_HEADERS,
        responses=AssistantSerializer(many=True),
    )
    def post(self, request: Request) -> Response:
        """Return the assistants that match, the latest created first."""
        asked = self.body(AssistantSearch)
        limit, offset = asked["limit"], asked["offset"]
        found = search_assistants(
            owner=self.owner,
            wanted=assistant_filter(asked),
            limit=limit + 1,
            offset=offset,
            sort_by=asked["sort_by"],
            descending=asked["sort_order"] == "desc",
        )
        shown, headers = page(found, limit=limit, offset=offset)
        return Response([select(present_assistant(one), asked.get("select")) for one in shown], headers=headers)


class AssistantCountView(ApiView):
    """How many assistants match."""

    @extend_schema(operation_id="count_assistants", request=AssistantCount, responses=int)
    def post(self, request: Request) -> Response:
        """Return the number of assistants that match."""
        return Response(count_assistants(owner=self.owner, wanted=assistant_filter(self.body(AssistantCount))))
