"""The states of threads and of their subgraphs as the JSON of LangGraph's API."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from runs.api.presenters import present_time
from runs.models import Checkpoint, SubgraphCheckpoint
from runs.services.subgraph_states import SubgraphStates, states_at


def present_state(
    thread_id: UUID, checkpoint: Checkpoint | None, *, live: bool = False, subgraphs: bool = False
) -> dict[str, Any]:
    """A ThreadState; that of an empty thread has nothing in it.

    `live`: what has become of it by now: with what tasks have written that finished before their siblings, and without
    them in `next`. Else it is a record of the step. `subgraphs`: each task with the state of the graph that it is.
    """
    if checkpoint is None:
        return dict(_EMPTY_STATE)
    inside = states_at(thread_id, checkpoint) if subgraphs else None
    return {
        **_contents(thread_id, checkpoint, _tasks(checkpoint), live, inside),
        "checkpoint": _reference(thread_id, checkpoint.pk),
        "parent_checkpoint": _reference(thread_id, checkpoint.parent_id),
        **_ids(checkpoint.pk, checkpoint.parent_id),
    }


def present_subgraph_state(
    thread_id: UUID,
    namespace: str,
    found: SubgraphCheckpoint | None,
    *,
    live: bool = False,
    inside: SubgraphStates | None = None,
) -> dict[str, Any]:
    """A ThreadState of a subgraph; of one that has not begun only what `RemoteGraph` cannot do without: its place.

    `inside`: each task with the state of the graph that it is.
    """
    if found is None:
        place = {"checkpoint_id": None, "thread_id": str(thread_id), "checkpoint_ns": namespace}
        return {**_EMPTY_STATE, "checkpoint": place, "metadata": {}}
    return {
        **_contents(thread_id, found, found.tasks, live, inside),
        "checkpoint": _place(thread_id, found, found.checkpoint_id),
        "parent_checkpoint": _place(thread_id, found, found.parent_checkpoint_id),
        **_ids(found.checkpoint_id, found.parent_checkpoint_id),
    }


def present_update(thread_id: UUID, checkpoint: Checkpoint) -> dict[str, Any]:
    """Which checkpoint an update of the state has made; clients look for it in either place."""
    reference = _reference(thread_id, checkpoint.pk)
    return {"checkpoint": reference, "configurable": reference, "checkpoint_id": str(checkpoint.pk)}


_EMPTY_STATE: Mapping[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


def _contents(
    thread_id: UUID,
    row: Checkpoint | SubgraphCheckpoint,
    tasks: list[dict[str, Any]],
    live: bool,
    inside: SubgraphStates | None,
) -> dict[str, Any]:
    asked = row.interrupts.values() if live else [task["interrupts"] for task in tasks]
    return {
        "values": row.live_values if live and row.live_values is not None else row.values,
        "next": row.next if live else [task["name"] for task in tasks],
        "tasks": [_with_subgraph(thread_id, task, inside) for task in tasks],
        "metadata": row.metadata,
        "created_at": present_time(row.created_at),
        "interrupts": [item for items in asked for item in items],
    }


def _with_subgraph(thread_id: UUID, task: dict[str, Any], inside: SubgraphStates | None) -> dict[str, Any]:
    """Either where the state of its subgraph is, or that state."""
    if task["checkpoint"] is None:
        return task
    if inside is None:
        return {**task, "checkpoint": {**task["checkpoint"], "thread_id": str(thread_id)}}
    namespace = task["checkpoint"]["checkpoint_ns"]
    state = present_subgraph_state(thread_id, namespace, inside.latest(namespace), live=True, inside=inside)
    return {**task, "checkpoint": None, "state": state}


def _tasks(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """A graph's are stored as they are shown; a function has none of its own."""
    if checkpoint.tasks is None:
        return [_task(checkpoint, name) for name in checkpoint.next]
    tasks: list[dict[str, Any]] = checkpoint.tasks
    return tasks


def _task(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    task_id = str(uuid5(checkpoint.pk, name))
    return {
        "id": task_id,
        "name": name,
        "path": ["__pregel_pull", name],
        "error": None,
        "interrupts": checkpoint.interrupts.get(task_id, []),
        "checkpoint": None,
        "state": None,
        "result": None,
    }


def _ids(checkpoint_id: UUID, parent_id: UUID | None) -> dict[str, str | None]:
    return {"checkpoint_id": str(checkpoint_id), "parent_checkpoint_id": None if parent_id is None else str(parent_id)}


def _reference(thread_id: UUID, checkpoint_id: UUID | None) -> dict[str, str] | None:
    if checkpoint_id is None:
        return None
    return {"checkpoint_id": str(checkpoint_id), "thread_id": str(thread_id), "checkpoint_ns": ""}


def _place(thread_id: UUID, found: SubgraphCheckpoint, checkpoint_id: UUID | None) -> dict[str, Any] | None:
    """With the ids of the checkpoints above it, under their namespaces."""
    if checkpoint_id is None:
        return None
    return {
        "checkpoint_id": str(checkpoint_id),
        "thread_id": str(thread_id),
        "checkpoint_ns": found.namespace,
        "checkpoint_map": {
            **found.metadata.get("parents", {}),
            "": str(found.root),
            found.namespace: str(checkpoint_id),
        },
    }
