"""/assistants: which there are. They are registered by the operator, so the API only reads them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.fields import ObjectField, StrictSerializer, TextField
from runs.api.pagination import PAGE_HEADERS, limit_field, offset_field, page
from runs.api.presenters import present_assistant, select
from runs.api.responses import ASSISTANT_MEMBERS, AssistantSerializer
from runs.api.run_requests import find_assistant
from runs.api.view import ApiView
from runs.assistants import registry

_SINCE = timezone.now()


class AssistantCount(StrictSerializer):
    """POST /assistants/count."""

    graph_id = TextField(required=False)
    name = TextField(required=False, help_text="A part of the name; case does not matter.")
    metadata = ObjectField(required=False)


class AssistantSearch(AssistantCount):
    """POST /assistants/search."""

    limit = limit_field()
    offset = offset_field()
    sort_by = serializers.ChoiceField(
        ["assistant_id", "graph_id", "name", "created_at", "updated_at"], default="created_at"
    )
    sort_order = serializers.ChoiceField(["asc", "desc"], default="desc")
    select = serializers.ListField(child=serializers.ChoiceField(ASSISTANT_MEMBERS), required=False)


class AssistantView(ApiView):
    """One assistant."""

    @extend_schema(operation_id="get_assistant", responses=AssistantSerializer)
    def get(self, request: Request, assistant_id: UUID) -> Response:
        """Return the assistant."""
        return Response(present_assistant(find_assistant(str(assistant_id)), _SINCE))


class AssistantSearchView(ApiView):
    """Assistants that match."""

    @extend_schema(
        operation_id="search_assistants",
        request=AssistantSearch,
        parameters=PAGE_HEADERS,
        responses=AssistantSerializer(many=True),
    )
    def post(self, request: Request) -> Response:
        """Return the assistants that match."""
        asked = self.body(AssistantSearch)
        limit, offset = asked["limit"], asked["offset"]
        found = sorted(
            _matching(asked), key=lambda assistant: assistant[asked["sort_by"]], reverse=asked["sort_order"] == "desc"
        )
        shown, headers = page(found[offset : offset + limit + 1], limit=limit, offset=offset)
        return Response([select(assistant, asked.get("select")) for assistant in shown], headers=headers)


class AssistantCountView(ApiView):
    """How many assistants match."""

    @extend_schema(operation_id="count_assistants", request=AssistantCount, responses=int)
    def post(self, request: Request) -> Response:
        """Return the number of assistants that match."""
        return Response(len(_matching(self.body(AssistantCount))))


def _matching(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    by_name = sorted(registry.registered().items())
    return [found for _, one in by_name if _matches(found := present_assistant(one, _SINCE), asked)]


def _matches(assistant: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    return (
        asked.get("graph_id", assistant["graph_id"]) == assistant["graph_id"]
        and asked.get("name", "").lower() in assistant["name"].lower()
        and all(assistant["metadata"].get(name) == value for name, value in asked.get("metadata", {}).items())
    )
