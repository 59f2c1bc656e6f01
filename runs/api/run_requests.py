"""What may be asked of runs: the body of a create, checked and turned into what the service takes."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs.api.errors import Contradiction
from runs.api.fields import (
    AnyField,
    FlagField,
    IdField,
    NothingField,
    NumberField,
    ObjectField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from runs.api.presenters import KWARGS
from runs.api.thread_requests import RootCheckpoint, fork_of
from runs.models import new_id
from runs.services.create import LONGEST_DELAY_SECONDS, MOST_ATTEMPTS, RunSpec
from runs.states import DisconnectMode, MultitaskStrategy, OnCompletion

STREAM_MODES = (
    "values",
    "updates",
    "custom",
    "messages",
    "messages-tuple",
    "tasks",
    "checkpoints",
    "events",
    "debug",
)
_MODE = {"type": "string", "enum": list(STREAM_MODES)}


@extend_schema_field({"oneOf": [_MODE, {"type": "array", "items": _MODE}]})
class StreamModeField(AnyField):
    """One mode or a list of modes; an empty list means "values"."""

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the modes as a list, each once."""
        modes = [data] if isinstance(data, str) else data
        if not isinstance(modes, list) or any(mode not in STREAM_MODES for mode in modes):
            raise serializers.ValidationError(f"Must be one or a list of: {', '.join(STREAM_MODES)}.")
        return list(dict.fromkeys(modes)) or ["values"]


_NODES = {"type": "array", "items": {"type": "string"}}


@extend_schema_field({"oneOf": [{"const": "*"}, _NODES]})
class NodesField(AnyField):
    """ "*" for all nodes, or a list of their names."""

    def to_internal_value(self, data: Any) -> Any:
        """Take an empty list for nothing."""
        if data != "*" and not (isinstance(data, list) and all(isinstance(name, str) for name in data)):
            raise serializers.ValidationError('Must be "*" or a list of names of nodes.')
        return data or None


class CommandSerializer(StrictSerializer):
    """What a graph is told instead of given: an answer to an interrupt, a change of its state, where to go on."""

    update = AnyField(  # type: ignore[assignment] # a member of the JSON, not DRF's method
        required=False, help_text="An object, or a list of pairs of key and value."
    )
    resume = AnyField(required=False, help_text="An answer, or {interrupt id: answer}.")
    goto = AnyField(required=False, help_text='A node, {"node", "input"}, or a list of either.')

    def to_internal_value(self, data: Any) -> Any:
        """Take an empty list for nothing."""
        return {} if data == [] else super().to_internal_value(data)

    def validate_update(self, value: Any) -> Any:
        """Only what can be merged."""
        pairs = isinstance(value, list) and all(_is_pair(one) for one in value)
        if not pairs and not isinstance(value, dict):
            raise serializers.ValidationError("Must be an object, or a list of pairs of key and value.")
        return value

    def validate_goto(self, value: Any) -> Any:
        """Only what names nodes."""
        targets = value if isinstance(value, list) else [value]
        if not all(_is_target(one) for one in targets):
            raise serializers.ValidationError('Must be a node, {"node": ..., "input": ...}, or a list of either.')
        return value


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)  # noqa: PLR2004 - a pair


def _is_target(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("node"), str) and value.keys() <= {"node", "input"}
    return isinstance(value, str)


class StrategyField(serializers.ChoiceField):
    """A string; whether it is a strategy is decided by the service, whose error names those that are supported."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse what is not text."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Not a valid string.")
        return data


class ConfigSerializer(serializers.Serializer[Any]):
    """The members of `config` that mean something here; others are kept for the assistant."""

    configurable = ObjectField(required=False, allow_null=True)
    metadata = ObjectField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        """Check what is known and keep all of it."""
        known = super().to_internal_value(data)
        return {**data, **{name: value or {} for name, value in known.items()}}


class RunCreate(StrictSerializer):
    """POST /threads/{thread_id}/runs and .../runs/wait."""

    assistant_id = TextField(help_text="The name or the id of an assistant.")
    input = AnyField(required=False, help_text="What the assistant gets; null: continue from the thread's state.")
    metadata = ObjectField(default=dict)
    config = ConfigSerializer(required=False)
    context = ObjectField(required=False)  # type: ignore[assignment] # a member of the JSON, not DRF's context
    checkpoint = RootCheckpoint(required=False)
    checkpoint_id = IdField(required=False, help_text="Fork from this checkpoint of the thread.")
    stream_mode = StreamModeField(default=lambda: ["values"])
    stream_subgraphs = FlagField(default=False)
    stream_resumable = FlagField(default=False)
    on_disconnect = serializers.ChoiceField(DisconnectMode.choices, required=False)
    multitask_strategy = StrategyField(MultitaskStrategy.choices, required=False)
    if_not_exists = serializers.ChoiceField(["reject", "create"], default="reject")
    after_seconds = NumberField(min_value=0, max_value=LONGEST_DELAY_SECONDS, required=False)
    timeout_seconds = NumberField(required=False, help_text="Time limit of one attempt.")
    max_attempts = WholeNumberField(min_value=1, max_value=MOST_ATTEMPTS, required=False)
    durability = serializers.ChoiceField(
        ["sync", "async", "exit"], required=False, help_text="Of a graph; a function's steps are always `sync`."
    )
    on_completion = serializers.ChoiceField(["keep"], default="keep", help_text="Runs on a thread are kept.")

    command = CommandSerializer(required=False, help_text="In place of `input`; only of graphs.")
    interrupt_before = NodesField(required=False, help_text="Stop before these nodes; only of graphs.")
    interrupt_after = NodesField(required=False, help_text="Stop after these nodes; only of graphs.")
    webhook = NothingField()
    feedback_keys = NothingField()
    # SDKs send these for servers with other features; there is nothing here that they could change.
    checkpoint_during = AnyField(required=False)
    strict_resume = AnyField(required=False)
    langsmith_tracer = AnyField(required=False)


class StatelessRunCreate(RunCreate):
    """POST /runs, /runs/stream, /runs/wait and each item of /runs/batch."""

    on_completion = serializers.ChoiceField(
        OnCompletion.choices, default=OnCompletion.DELETE, help_text="Delete the run and its thread when it has ended."
    )
    checkpoint = NothingField(instead="A new thread has no checkpoints.")  # type: ignore[assignment]
    checkpoint_id = NothingField(instead="A new thread has no checkpoints.")  # type: ignore[assignment]


def stateless_spec(asked: Mapping[str, Any]) -> RunSpec:
    """What the service is asked for on a new thread; a thread finds its run's metadata again."""
    spec = run_spec(asked, new_id())
    spec.kwargs["temporary"] = spec.on_completion == OnCompletion.DELETE
    spec.thread_metadata = dict(asked["metadata"])
    spec.create_thread = True
    return spec


def run_spec(asked: Mapping[str, Any], thread_id: UUID) -> RunSpec:
    """What the service is asked for. Raises InvalidRequest, Contradiction."""
    config, context = config_and_context(asked)
    return RunSpec(
        assistant=asked["assistant_id"],
        kwargs=_kwargs(asked, config, context, fork_of(asked, thread_id)),
        metadata={**config.get("metadata", {}), **asked["metadata"]},
        multitask_strategy=asked.get("multitask_strategy"),
        on_disconnect=asked.get("on_disconnect"),
        after_seconds=asked.get("after_seconds"),
        timeout_seconds=asked.get("timeout_seconds"),
        max_attempts=asked.get("max_attempts"),
        create_thread=asked["if_not_exists"] == "create",
        on_completion=asked["on_completion"],
    )


def config_and_context(asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`config.configurable` and `context` are two names of the same thing: either is shown under both."""
    config, context = dict(asked.get("config", {})), asked.get("context", {})
    configurable = config.get("configurable", {})
    if configurable and context:
        raise Contradiction("Cannot specify both config.configurable and context. Prefer context.")
    shared = context or configurable
    return {**config, "configurable": shared}, shared


def _kwargs(
    asked: Mapping[str, Any], config: dict[str, Any], context: dict[str, Any], fork: UUID | None
) -> dict[str, Any]:
    """The request as accepted, as clients find it on the run."""
    return {
        **KWARGS,
        "input": asked.get("input"),
        "command": asked.get("command") or None,
        "interrupt_before": asked.get("interrupt_before"),
        "interrupt_after": asked.get("interrupt_after"),
        "config": config,
        "context": context,
        "stream_mode": asked["stream_mode"],
        "subgraphs": asked["stream_subgraphs"],
        "resumable": asked["stream_resumable"],
        "durability": asked.get("durability", "sync"),
        **({} if fork is None else {"checkpoint_id": str(fork)}),
    }
