"""Which assistant a caller means, and what it adds to a run's own options."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runs.assistants import registry
from runs.errors import AssistantNotFound
from runs.models import Assistant
from runs.services.graphs import known_graph

#: What the server's own assistants say of themselves.
SYSTEM_METADATA = {"created_by": "system"}


@dataclass(frozen=True, kw_only=True)
class ChosenAssistant:
    """What a run executes, as which assistant, and the options that come with it."""

    graph_id: str
    assistant_id: UUID
    timeout_seconds: float | None
    is_function: bool
    config: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def complete(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The run's arguments over the assistant's: member by member, and so `configurable` and `context`."""
        if not self.config and not self.context:
            return kwargs
        context = {**self.context, **(kwargs.get("context") or {})}
        config = {**self.config, **(kwargs.get("config") or {})}
        config["configurable"] = {**self.context, **(config.get("configurable") or {})}
        return {**kwargs, "config": config, "context": context}

    def name_in(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """The run's metadata over the assistant's and its names."""
        return {**self.metadata, "graph_id": self.graph_id, "assistant_id": str(self.assistant_id), **metadata}


def choose_assistant(name_or_id: str, *, owner: Any) -> ChosenAssistant:
    """Return the assistant with this name or id as `owner` may use it.

    One query for an assistant that somebody has created, none for what this process has registered itself.
    Raises UnknownAssistant for a name, AssistantNotFound for an id.
    """
    assistant_id = parse_assistant_id(name_or_id)
    if assistant_id is None:
        return _system(name_or_id)
    if (name := registry.name_of(assistant_id)) is not None:
        return _system(name)
    found = Assistant.objects.visible_to(owner).filter(pk=assistant_id).first()
    if found is None:
        raise AssistantNotFound(f"Assistant with ID {name_or_id} not found")
    graph = known_graph(found.graph_id)
    return ChosenAssistant(
        graph_id=graph.name,
        assistant_id=found.pk,
        timeout_seconds=graph.timeout_seconds,
        is_function=graph.is_function,
        config=found.config,
        context=found.context,
        metadata=found.metadata,
    )


def parse_assistant_id(name_or_id: str) -> UUID | None:
    """The id, if it is one and not the name of something registered."""
    if name_or_id in registry.registered():
        return None
    try:
        return UUID(name_or_id) if len(name_or_id) in (32, 36) else None
    except ValueError:
        return None


def _system(name: str) -> ChosenAssistant:
    graph = known_graph(name)
    return ChosenAssistant(
        graph_id=graph.name,
        assistant_id=registry.assistant_id(graph.name),
        timeout_seconds=graph.timeout_seconds,
        is_function=graph.is_function,
        metadata=SYSTEM_METADATA,
    )
