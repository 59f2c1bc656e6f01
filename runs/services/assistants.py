"""Assistants that people create: settings of their own for a graph, in versions."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from django.db.models import Max

from runs.actors import Actor
from runs.errors import (
    AssistantExists,
    GraphNotFound,
    InvalidRequest,
    SystemAssistant,
    UnknownAssistant,
    VersionNotFound,
)
from runs.jsonvalues import check_storable
from runs.locks import clock, lock_assistant
from runs.models import Assistant, AssistantVersion, Thread, new_id
from runs.services.graphs import graph_names, known_graph
from runs.services.inserting import insert_if_free
from runs.services.threads import delete_threads
from runs.transactions import atomic

LONGEST_NAME = 255
UNTITLED = "Untitled"


def create_assistant(
    *,
    actor: Actor,
    graph_id: str,
    assistant_id: UUID | None = None,
    if_exists: Literal["raise", "do_nothing"] = "raise",
    **content: Any,
) -> Assistant:
    """Create an assistant, or with `do_nothing` return the one there is, unchanged.

    `content`: name, description, config, context, metadata; `config["configurable"]` is another name for `context`.
    Raises GraphNotFound, InvalidRequest, AssistantExists (also when the id is that of somebody else's).
    """
    columns = {"name": UNTITLED, **_checked({"graph_id": graph_id, **content})}
    made = Assistant(id=assistant_id or new_id(), owner=actor.owner, **columns)
    with atomic():
        if _insert(made):
            return Assistant.objects.get(pk=made.pk)
    if if_exists == "do_nothing" and (there := Assistant.objects.visible_to(actor.owner).filter(pk=made.pk).first()):
        return there
    raise AssistantExists(f"Assistant with ID {made.pk} already exists.")


def _insert(assistant: Assistant) -> bool:
    if not insert_if_free(assistant):
        return False
    AssistantVersion.objects.create(assistant=assistant, version=1, **assistant.content())
    return True


@atomic()
def update_assistant(*, actor: Actor, assistant_id: UUID, **content: Any) -> Assistant:
    """Make a new version, which is in force from now on; `metadata` is merged, shallowly, all else is replaced.

    Raises AssistantNotFound, SystemAssistant, GraphNotFound, InvalidRequest.
    """
    columns = _checked(content)
    assistant = _lock_own(assistant_id, actor)
    if "metadata" in columns:
        columns["metadata"] = assistant.metadata | columns["metadata"]
    last = assistant.versions.aggregate(last=Max("version"))["last"]
    _put_in_force(assistant, version=last + 1, **columns)
    AssistantVersion.objects.create(assistant=assistant, version=assistant.version, **assistant.content())
    return assistant


@atomic()
def set_latest_version(*, actor: Actor, assistant_id: UUID, version: int) -> Assistant:
    """Put a former version in force again, with all it says.

    Raises AssistantNotFound, SystemAssistant, VersionNotFound.
    """
    assistant = _lock_own(assistant_id, actor)
    former = assistant.versions.filter(version=version).first()
    if former is None:
        raise VersionNotFound(f"Version {version} not found for assistant {assistant_id}")
    _put_in_force(assistant, version=former.version, **former.content())
    return assistant


def delete_assistant(*, actor: Actor, assistant_id: UUID, threads: bool = False) -> None:
    """Delete an assistant with its versions; what it has executed stays. `threads`: and the actor's threads that it was
    the last to run on.

    Raises AssistantNotFound, SystemAssistant.
    """
    with atomic():
        _lock_own(assistant_id, actor).delete()
    if threads:
        last_run_by_it = Thread.objects.listed_for(actor.owner).filter(
            metadata__contains={"assistant_id": str(assistant_id)}
        )
        delete_threads(thread_ids=list(last_run_by_it.values_list("pk", flat=True)), actor=actor)


def _lock_own(assistant_id: UUID, actor: Actor) -> Assistant:
    assistant = lock_assistant(assistant_id, actor.owner)
    if assistant.owner_id is None:
        raise SystemAssistant
    return assistant


def _put_in_force(assistant: Assistant, **columns: Any) -> None:
    for name, value in (columns | {"updated_at": clock()}).items():
        setattr(assistant, name, value)
    assistant.save()


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """The columns, refused here if they cannot be stored."""
    columns = {name: value for name, value in content.items() if value is not None}
    for name, value in columns.items():
        check_storable(value, name)
    if len(columns.get("name", "")) > LONGEST_NAME:
        raise InvalidRequest(f"name must not be longer than {LONGEST_NAME} characters")
    if "graph_id" in columns:
        _check_graph(columns["graph_id"])
    if "config" in columns:
        configurable = columns["config"].get("configurable")
        columns["config"] = {key: value for key, value in columns["config"].items() if key != "configurable"}
        if configurable is not None and "context" not in columns:
            columns["context"] = configurable
    return columns


def _check_graph(graph_id: str) -> None:
    try:
        known_graph(graph_id)
    except UnknownAssistant:
        names = ", ".join(graph_names()) or "none"
        raise GraphNotFound(f"Graph {graph_id!r} not found. Expected one of: {names}.") from None
