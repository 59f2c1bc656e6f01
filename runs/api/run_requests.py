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
    parse_uuid,
    refuse_unknown,
)
from runs.api.presenters import KWARGS
from runs.api.thread_requests import RootCheckpoint, fork_of
from runs.assistants import Assistant, registry
from runs.errors import AssistantNotFound, InvalidRequest, UnknownAssistant
from runs.models import new_id
from runs.services.create import LONGEST_DELAY_SECONDS, LONGEST_MODEL_NAME, MOST_ATTEMPTS, RunSpec
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
#: What only graphs have.
_OF_GRAPHS = ("command", "interrupt_before", "interrupt_after")


PAIR = 2
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


@extend_schema_field({"oneOf": [{"const": "*", "type": "string"}, {"type": "array", "items": {"type": "string"}}]})
class NodesField(AnyField):
    """ "*" for all nodes, or a list of their names; an empty list asks for nothing."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what names no nodes."""
        if data != "*" and (not isinstance(data, list) or not all(isinstance(node, str) for node in data)):
            raise serializers.ValidationError('Must be "*" or a list of names of nodes.')
        return data or None


_GOTO = {
    "type": "object",
    "properties": {"node": {"type": "string"}, "input": {}},
    "required": ["node"],
}
_ONE_GOTO = {"oneOf": [{"type": "string"}, _GOTO]}


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            "resume": {"description": "The answer, or an object from the ids of interrupts to answers."},
            "update": {"description": "What to change in the state: an object, or a list of pairs."},
            "goto": {"oneOf": [*_ONE_GOTO["oneOf"], {"type": "array", "items": _ONE_GOTO}]},
        },
        "additionalProperties": False,
    }
)
class CommandField(ObjectField):
    """`resume`, `update` and `goto`, each of which may be left out."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what LangGraph could not execute. An empty list asks for nothing, as elsewhere."""
        if data == []:
            return None
        command = super().to_internal_value(data)
        refuse_unknown(command, ("resume", "update", "goto"))
        if not any(value is not None for value in command.values()):
            raise serializers.ValidationError("Must have resume, update or goto.")
        if not _is_update(command.get("update")):
            raise serializers.ValidationError({"update": "Must be an object, or a list of pairs [key, value]."})
        goto = command.get("goto")
        if not all(_is_goto(one) for one in (goto if isinstance(goto, list) else [goto])):
            raise serializers.ValidationError({"goto": 'Must be a node, {"node", "input"}, or a list of these.'})
        return command


def _is_update(update: Any) -> bool:
    if isinstance(update, list):
        return all(isinstance(pair, list) and len(pair) == PAIR and isinstance(pair[0], str) for pair in update)
    return update is None or isinstance(update, dict)


def _is_goto(goto: Any) -> bool:
    if isinstance(goto, dict):
        return isinstance(goto.get("node"), str) and set(goto) <= {"node", "input"}
    return goto is None or isinstance(goto, str)


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
        ["sync", "async", "exit"],
        required=False,
        help_text="When a step is durable: before the next one begins (the default, and always with functions), while "
        "it is executed, or when the run ends.",
    )
    on_completion = serializers.ChoiceField(["keep"], default="keep", help_text="Runs on a thread are kept.")

    command = CommandField(required=False, help_text="Only for graphs: `resume`, `update`, `goto`.")
    interrupt_before = NodesField(required=False, help_text="Only for graphs: stop before these nodes.")
    interrupt_after = NodesField(required=False, help_text="Only for graphs: stop after these nodes.")
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
    """What the service is asked for. Raises UnknownAssistant, AssistantNotFound, InvalidRequest, Contradiction."""
    assistant = find_assistant(asked["assistant_id"])
    _refuse_what_only_graphs_have(assistant, asked)
    config, context = _config_and_context(asked)
    return RunSpec(
        assistant=assistant.name,
        kwargs=_kwargs(asked, config, context, fork_of(asked, thread_id)),
        metadata={**_names(assistant), **config.get("metadata", {}), **asked["metadata"]},
        multitask_strategy=asked.get("multitask_strategy"),
        on_disconnect=asked.get("on_disconnect"),
        after_seconds=asked.get("after_seconds"),
        timeout_seconds=asked.get("timeout_seconds"),
        max_attempts=asked.get("max_attempts"),
        model_name=_model_name(context),
        create_thread=asked["if_not_exists"] == "create",
        on_completion=asked["on_completion"],
    )


def _refuse_what_only_graphs_have(assistant: Assistant, asked: Mapping[str, Any]) -> None:
    if assistant.graph is not None:
        return
    for name in _OF_GRAPHS:
        if asked.get(name) is not None:
            raise InvalidRequest(f"{name}: only graphs have this; {assistant.name!r} is a function. Send `input`.")
    if asked.get("durability") == "exit":
        raise InvalidRequest("durability: every step of a function is durable before the next one begins.")


def find_assistant(name_or_id: str) -> Assistant:
    """Return the assistant. An id that is not known is missing, a name that is not known is a mistake."""
    try:
        return registry.get(name_or_id)
    except UnknownAssistant:
        if parse_uuid(name_or_id) is not None:
            raise AssistantNotFound(f"Assistant with ID {name_or_id} not found") from None
        raise


def _config_and_context(asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`config.configurable` and `context` are two names of the same thing: either is shown under both."""
    config, context = dict(asked.get("config", {})), asked.get("context", {})
    configurable = config.get("configurable", {})
    if configurable and context:
        raise Contradiction("Cannot specify both config.configurable and context. Prefer context.")
    shared = context or configurable
    return {**config, "configurable": shared}, shared


def _model_name(context: Mapping[str, Any]) -> str | None:
    """The model that was asked for; the assistant may report another one later."""
    name = context.get("model_name")
    return name.strip()[:LONGEST_MODEL_NAME] or None if isinstance(name, str) else None


def _kwargs(
    asked: Mapping[str, Any], config: dict[str, Any], context: dict[str, Any], fork: UUID | None
) -> dict[str, Any]:
    """The request as accepted, as clients find it on the run."""
    return {
        **KWARGS,
        "input": asked.get("input"),
        **{name: asked.get(name) for name in _OF_GRAPHS},
        "config": config,
        "context": context,
        "stream_mode": asked["stream_mode"],
        "subgraphs": asked["stream_subgraphs"],
        "resumable": asked["stream_resumable"],
        "durability": asked.get("durability", "sync"),
        **({} if fork is None else {"checkpoint_id": str(fork)}),
    }


def _names(assistant: Assistant) -> dict[str, str]:
    return {
        "created_by": "system",
        "graph_id": assistant.name,
        "assistant_id": str(registry.assistant_id(assistant.name)),
    }
