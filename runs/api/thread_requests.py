"""What may be asked of threads."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs.api.extract import MAX_PATHS, Path, parse_path
from runs.api.fields import (
    AnyField,
    FlagField,
    IdField,
    NothingField,
    ObjectField,
    QueryFlagField,
    QuerySerializer,
    StrictSerializer,
    TextField,
    parse_uuid,
)
from runs.api.pagination import limit_field, offset_field, query_limit_field
from runs.api.responses import STATE_MEMBERS, THREAD_MEMBERS
from runs.errors import InvalidRequest
from runs.services.thread_search import SORT_COLUMNS, ThreadFilter
from runs.states import ThreadStatus

_NO_TTL = "Threads have no time to live here; delete them when they are no longer needed."
#: Of a namespace; a longer one could not be in the index.
MAX_NAMESPACE = 2000
_NO_SUBGRAPHS = "Only the root graph can be gone on from and changed: leave checkpoint_ns empty."


class SuperstepUpdate(StrictSerializer):
    """What a node has returned."""

    values = AnyField(required=False)
    command = ObjectField(required=False, help_text="update and goto, instead of values.")
    as_node = TextField(required=False, help_text="The node; `__input__`: it is the input.")


class Superstep(StrictSerializer):
    """What was done at once."""

    updates = serializers.ListField(child=SuperstepUpdate(), min_length=1)


class ThreadCreate(StrictSerializer):
    """POST /threads."""

    thread_id = IdField(required=False)
    metadata = ObjectField(required=False)
    if_exists = serializers.ChoiceField(["raise", "do_nothing"], default="raise")
    ttl = NothingField(instead=_NO_TTL)
    supersteps = serializers.ListField(
        child=Superstep(),
        required=False,
        max_length=1000,
        help_text="The state that the thread begins with, of the graph that metadata.graph_id names.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Supersteps are for a new thread."""
        if attrs.get("supersteps") and attrs["if_exists"] != "raise":
            raise serializers.ValidationError({"if_exists": "With supersteps a thread that exists cannot be meant."})
        return attrs


class ThreadPatch(StrictSerializer):
    """PATCH /threads/{thread_id}."""

    metadata = ObjectField(default=dict)
    ttl = NothingField(instead=_NO_TTL)


class ThreadPrune(StrictSerializer):
    """POST /threads/prune."""

    thread_ids = serializers.ListField(child=IdField(), max_length=1000)
    strategy = serializers.ChoiceField(["delete"], default="delete", help_text="A thread goes with all its states.")


class ThreadQuery(QuerySerializer):
    """GET /threads/{thread_id}."""

    include = serializers.ChoiceField(["ttl"], required=False, help_text="Accepted; threads have no time to live.")


class ThreadCount(StrictSerializer):
    """POST /threads/count."""

    metadata = ObjectField(required=False)
    values = ObjectField(required=False)
    status = serializers.ChoiceField(ThreadStatus.choices, required=False)


class ExtractField(serializers.DictField):
    """Alias -> path."""

    child = TextField()

    def to_internal_value(self, data: Any) -> dict[str, Path]:
        """Parse the paths."""
        paths = super().to_internal_value(data)
        if len(paths) > MAX_PATHS:
            raise serializers.ValidationError(f"At most {MAX_PATHS} paths.")
        return {alias: parse_path(path) for alias, path in paths.items()}


class ThreadSearch(ThreadCount):
    """POST /threads/search."""

    ids = serializers.ListField(child=IdField(), max_length=1000, required=False)
    limit = limit_field()
    offset = offset_field()
    sort_by = serializers.ChoiceField(list(SORT_COLUMNS), default="updated_at")
    sort_order = serializers.ChoiceField(["asc", "desc"], default="desc")
    select = serializers.ListField(child=serializers.ChoiceField(THREAD_MEMBERS), required=False)
    extract = ExtractField(required=False)


def thread_filter(asked: dict[str, Any]) -> ThreadFilter:
    """The part of a search or count that says which threads."""
    return ThreadFilter(**{name: asked[name] for name in ("ids", "metadata", "values", "status") if name in asked})


class StateMemberField(TextField):
    """A member of a state, or "values.<key>" for one key of it."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse what is neither."""
        name = super().to_internal_value(data)
        if name not in STATE_MEMBERS and not (name.startswith("values.") and name != "values."):
            raise serializers.ValidationError(f"{name!r} is none of: {', '.join(STATE_MEMBERS)}, values.<key>.")
        return name


class StateQuery(QuerySerializer):
    """GET .../state and .../state/{checkpoint_id}."""

    subgraphs = QueryFlagField(default=False, help_text="With the states of the subgraphs that wait for something.")
    select = serializers.ListField(child=StateMemberField(), required=False)


class RootCheckpoint(StrictSerializer):
    """A checkpoint of the root graph."""

    checkpoint_id = IdField(required=False)
    thread_id = IdField(required=False)
    checkpoint_ns = TextField(required=False, allow_blank=True)
    checkpoint_map = NothingField(instead=_NO_SUBGRAPHS)

    def validate_checkpoint_ns(self, value: str) -> str:
        """No subgraph's."""
        if value:
            raise serializers.ValidationError(_NO_SUBGRAPHS)
        return value


def fork_of(asked: Mapping[str, Any], thread_id: UUID) -> UUID | None:
    """The checkpoint to go on from, which may be given in two ways."""
    checkpoint = asked.get("checkpoint") or {}  # null where something empty was sent for an unsupported option
    same_thread(thread_id, checkpoint)
    given = {asked.get("checkpoint_id"), checkpoint.get("checkpoint_id")} - {None}
    if len(given) > 1:
        raise InvalidRequest("checkpoint_id and checkpoint.checkpoint_id name different checkpoints.")
    return given.pop() if given else None


def same_thread(thread_id: UUID, checkpoint: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another thread than the path's."""
    if checkpoint.get("thread_id", thread_id) != thread_id:
        raise InvalidRequest("checkpoint.thread_id names another thread than the path.")


class AnyCheckpoint(StrictSerializer):
    """A checkpoint of the root graph or of a subgraph, as answers name it."""

    checkpoint_id = IdField(required=False)
    thread_id = IdField(required=False)
    checkpoint_ns = TextField(required=False, allow_blank=True, max_length=MAX_NAMESPACE)
    checkpoint_map = ObjectField(required=False, help_text="Accepted; the namespace and the id say all.")


class StateAt(StrictSerializer):
    """POST .../state/checkpoint."""

    checkpoint = AnyCheckpoint()
    subgraphs = FlagField(default=False)
    select = serializers.ListField(child=StateMemberField(), required=False)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ValuesField(AnyField):
    """An object; null changes nothing but where a graph goes on."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what no state could take."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        return data


class StateUpdate(StrictSerializer):
    """POST .../state."""

    values = ValuesField(required=False, help_text="What to merge into the state, as if a step had yielded it.")
    checkpoint = RootCheckpoint(required=False)
    checkpoint_id = IdField(required=False, help_text="Go on from this checkpoint instead of the latest one.")
    as_node = TextField(required=False, help_text="Only for graphs: the node that is taken to have returned them.")


class BeforeField(AnyField):
    """A checkpoint by its id, as {"checkpoint_id"}, or as {"configurable": {"checkpoint_id"}}: clients do all three."""

    def to_internal_value(self, data: Any) -> Any:
        """Return its id."""
        found = data
        if isinstance(found, dict) and isinstance(found.get("configurable"), dict):
            found = found["configurable"]
        checkpoint_id = parse_uuid(found.get("checkpoint_id") if isinstance(found, dict) else found)
        if checkpoint_id is None:
            raise serializers.ValidationError("Must be the id of a checkpoint, or an object with its checkpoint_id.")
        return checkpoint_id


class HistoryBody(StrictSerializer):
    """POST .../history."""

    limit = limit_field()
    before = BeforeField(required=False)
    metadata = ObjectField(required=False)
    checkpoint = AnyCheckpoint(required=False)
    select = serializers.ListField(child=StateMemberField(), required=False)

    def validate_checkpoint(self, value: dict[str, Any]) -> dict[str, Any]:
        """It names a subgraph, nothing else."""
        if "checkpoint_id" in value:
            raise serializers.ValidationError("Use `before` to start at a checkpoint.")
        return value


class HistoryQuery(QuerySerializer):
    """GET .../history."""

    limit = query_limit_field()
    before = IdField(required=False, help_text="Start with the parent of this checkpoint.")
    select = serializers.ListField(child=StateMemberField(), required=False)
