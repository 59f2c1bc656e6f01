"""Writing down what can be executed here, for the processes that cannot import it.

Called by `manage.py register_assistants`, which belongs after `migrate`, and by each worker that starts. Any number of
processes may do so at once.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from runs.assistants import Assistant as Definition
from runs.assistants import registry
from runs.assistants.graphs.description import GraphSchemas
from runs.locks import clock
from runs.models import Assistant, AssistantVersion, Graph
from runs.services import graphs
from runs.services.chosen import SYSTEM_METADATA
from runs.transactions import atomic

logger = logging.getLogger(__name__)

_COLUMNS = [field.name for field in Graph._meta.get_fields() if field.name != "name"]


@dataclass(frozen=True)
class Registered:
    """What a registration has done. `problems`: name -> why it could not be described."""

    names: list[str]
    problems: Mapping[str, str]


def register_assistants(*, names: Iterable[str] | None = None) -> Registered:
    """Describe what is registered in this process (`names`: only these) and give each its own assistant.

    What cannot be described is still an assistant: its runs say what is wrong with it.
    """
    wanted = {name: one for name, one in registry.registered().items() if names is None or name in names}
    described = [describe(wanted[name]) for name in sorted(wanted)]  # sorted: two of these must not wait for each other
    with atomic():
        _store(described)
        _create_assistants(described)
    graphs.forget()
    return Registered([row.name for row in described], {row.name: row.problem for row in described if row.problem})


def forget_others() -> list[str]:
    """Forget graphs that this process does not know, with the server's own assistants for them; return their names.

    Assistants that people have created for them stay, and cannot be used.
    """
    known = list(registry.registered())
    with atomic():
        gone = sorted(Graph.objects.exclude(pk__in=known).values_list("name", flat=True))
        Assistant.objects.filter(owner=None).exclude(graph_id__in=known).delete()
        Graph.objects.filter(pk__in=gone).delete()
    graphs.forget()
    return gone


def unregistered() -> list[str]:
    """What this process knows and nobody has written down yet."""
    there = set(Graph.objects.filter(problem="").values_list("name", flat=True))
    return sorted(set(registry.registered()) - there)


def describe(definition: Definition) -> Graph:
    """The row that describes it; to describe a graph is to import it."""
    if definition.graph is None:
        return graphs.describe_function(definition)
    from runs.assistants.graphs.description import describe_graph
    from runs.assistants.graphs.loading import GraphNotLoaded

    row = Graph(name=definition.name, description=definition.description, timeout_seconds=definition.timeout_seconds)
    try:
        found = describe_graph(definition.graph)
    except GraphNotLoaded as error:
        row.problem = str(error)
        return row
    row.schemas = _presented(found.schemas)
    row.drawings = [_without_classes(drawing) for drawing in found.drawings]
    row.subgraphs = {namespace: _presented(schemas) for namespace, schemas in found.subgraphs.items()}
    return row


def _presented(schemas: GraphSchemas) -> dict[str, Any]:
    """LangGraph's server shows of the config only what may be configured."""
    shown = asdict(schemas)
    config = shown["config_schema"] or {}
    reference = config.get("properties", {}).get("configurable", {}).get("$ref", "")
    others = {name: found for name, found in config.get("$defs", {}).items() if not reference.endswith(f"/{name}")}
    configurable = config.get("$defs", {}).get(reference.rpartition("/")[2], {})
    return {**shown, "config_schema": {**configurable, **({"$defs": others} if configurable and others else {})}}


def _without_classes(drawing: dict[str, Any]) -> dict[str, Any]:
    """The code behind a node is nobody's business; LangGraph's server leaves it out, too."""
    nodes = [
        {**node, "data": {name: value for name, value in node["data"].items() if name != "id"}}
        if isinstance(node.get("data"), dict)
        else node
        for node in drawing["nodes"]
    ]
    return {**drawing, "nodes": nodes}


def _store(described: Iterable[Graph]) -> None:
    now = clock()
    for row in described:
        row.described_at = now
    good, bad = [row for row in described if not row.problem], [row for row in described if row.problem]
    Graph.objects.bulk_create(good, update_conflicts=True, unique_fields=["name"], update_fields=_COLUMNS)
    Graph.objects.bulk_create(bad, ignore_conflicts=True)  # where it can be imported, somebody may have described it


def _create_assistants(described: Iterable[Graph]) -> None:
    now = clock()
    own = [
        Assistant(
            id=registry.assistant_id(row.name),
            graph_id=row.name,
            name=row.name,
            description=row.description or None,
            metadata=SYSTEM_METADATA,
            created_at=now,
            updated_at=now,
        )
        for row in described
    ]
    Assistant.objects.bulk_create(own, ignore_conflicts=True)
    ours = Assistant.objects.filter(owner=None)
    for assistant in own:
        ours.filter(pk=assistant.pk).exclude(description=assistant.description).update(
            description=assistant.description, updated_at=now
        )
    _write_first_versions(own)


def _write_first_versions(own: Iterable[Assistant]) -> None:
    """And say so if somebody has given the id of one of ours to an assistant of theirs."""
    there = {row.pk: row for row in Assistant.objects.filter(pk__in=[one.pk for one in own], owner=None)}
    for assistant in own:
        if assistant.pk not in there:
            logger.error(
                "the id of %s, %s, is that of an assistant which somebody created", assistant.name, assistant.pk
            )
    first = [
        AssistantVersion(assistant=row, version=1, created_at=row.created_at, **row.content()) for row in there.values()
    ]
    AssistantVersion.objects.bulk_create(
        first, update_conflicts=True, unique_fields=["assistant", "version"], update_fields=["description"]
    )
