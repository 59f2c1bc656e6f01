"""What may be asked of assistants."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs.api.fields import (
    AnyField,
    IdField,
    ObjectField,
    QueryFlagField,
    QuerySerializer,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from runs.api.pagination import MAX_OFFSET, limit_field, offset_field
from runs.api.responses import ASSISTANT_MEMBERS
from runs.api.run_requests import ConfigSerializer, config_and_context
from runs.services.assistant_search import SORT_COLUMNS, AssistantFilter
from runs.services.assistants import LONGEST_NAME

_CONTENT = ("graph_id", "name", "description", "config", "context", "metadata")
_EVERYTHING = {"true": True, "false": False}
_DEEPEST = 1000


class AssistantPatch(StrictSerializer):
    """PATCH /assistants/{assistant_id}: what is not said stays as it is."""

    graph_id = TextField(required=False, help_text="The name of a function or a graph.")
    name = TextField(required=False, allow_blank=True, max_length=LONGEST_NAME)
    description = TextField(required=False, allow_blank=True)
    config = ConfigSerializer(required=False)
    context = ObjectField(required=False)  # type: ignore[assignment] # a member of the JSON, not DRF's context
    metadata = ObjectField(required=False, help_text="Merged into what there is.")


class AssistantCreate(AssistantPatch):
    """POST /assistants."""

    graph_id = TextField(help_text="The name of a function or a graph.")
    metadata = ObjectField(required=False)
    assistant_id = IdField(required=False)
    if_exists = serializers.ChoiceField(["raise", "do_nothing"], default="raise")


def content_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the services take; `config` and `context` that contradict each other are refused."""
    config_and_context(asked)
    return {name: asked[name] for name in _CONTENT if name in asked}


class AssistantCount(StrictSerializer):
    """POST /assistants/count."""

    graph_id = TextField(required=False)
    name = TextField(required=False, help_text="A part of the name; case does not matter.")
    metadata = ObjectField(required=False)


class AssistantSearch(AssistantCount):
    """POST /assistants/search."""

    limit = limit_field()
    offset = offset_field()
    sort_by = serializers.ChoiceField(list(SORT_COLUMNS), default="created_at")
    sort_order = serializers.ChoiceField(["asc", "desc"], default="desc")
    select = serializers.ListField(child=serializers.ChoiceField(ASSISTANT_MEMBERS), required=False)


def assistant_filter(asked: Mapping[str, Any]) -> AssistantFilter:
    """The part of a search or count that says which assistants."""
    return AssistantFilter(**{name: asked[name] for name in ("graph_id", "name", "metadata") if name in asked})


class AssistantDelete(QuerySerializer):
    """DELETE /assistants/{assistant_id}."""

    delete_threads = QueryFlagField(default=False, help_text="And your threads that it was the last to run on.")


class VersionSearch(StrictSerializer):
    """POST /assistants/{assistant_id}/versions."""

    limit = limit_field()
    offset = offset_field()
    metadata = ObjectField(required=False)


class LatestVersion(StrictSerializer):
    """POST /assistants/{assistant_id}/latest."""

    version = WholeNumberField(min_value=1, max_value=MAX_OFFSET)


@extend_schema_field({"oneOf": [{"type": "boolean"}, {"type": "integer", "minimum": 1, "maximum": _DEEPEST}]})
class XrayField(AnyField):
    """`true`, `false`, or how many levels of subgraphs to open."""

    def to_internal_value(self, data: Any) -> int | bool:
        """Parse it."""
        text = str(data).lower()
        if text in _EVERYTHING:
            return _EVERYTHING[text]
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= _DEEPEST):
            raise serializers.ValidationError(f"Must be true, false, or a number of levels from 1 to {_DEEPEST}.")
        return int(text[:5])


class DrawingQuery(QuerySerializer):
    """GET /assistants/{assistant_id}/graph."""

    xray = XrayField(default=False, help_text="true, false, or how many levels of subgraphs to open.")


class SubgraphsQuery(QuerySerializer):
    """GET /assistants/{assistant_id}/subgraphs."""

    recurse = QueryFlagField(default=False, help_text="And the subgraphs of subgraphs, as `outer|inner`.")
