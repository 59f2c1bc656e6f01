"""From rows to the JSON of LangGraph's API, with members of our own beside its."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from runs.assistants import Assistant, registry
from runs.models import Checkpoint, Run, Thread
from runs.services.create import CreatedRun
from runs.services.runs import queue_position
from runs.services.transition import present_error

#: The members of `kwargs` that clients find on every run, whoever accepted it.
KWARGS: Mapping[str, Any] = {
    "input": None,
    "command": None,
    "config": {},
    "context": {},
    "stream_mode": ["values"],
    "interrupt_before": None,
    "interrupt_after": None,
    "webhook": None,
    "feedback_keys": None,
    "temporary": False,
    "subgraphs": False,
    "resumable": False,
    "durability": "sync",
}


def present_created(created: CreatedRun) -> dict[str, Any]:
    """An accepted run, with the ids of the runs it displaced."""
    run = present_run(created.run, place=queue_position(created.run))
    return {**run, "displaced": [str(displaced.pk) for displaced in created.displaced]}


def present_run(run: Run, *, place: int | None) -> dict[str, Any]:
    """A Run; `place`: how many runs go before it."""
    return {
        "run_id": str(run.pk),
        "thread_id": str(run.thread_id),
        "assistant_id": str(registry.assistant_id(run.assistant)),
        "metadata": run.metadata,
        "status": run.status,
        "kwargs": {**KWARGS, **run.kwargs},
        "multitask_strategy": run.multitask_strategy,
        "created_at": _time(run.created_at),
        "updated_at": _time(run.updated_at),
        "langsmith_session_name": None,
        **_lifecycle(run, place),
        **_reported(run),
    }


def _lifecycle(run: Run, place: int | None) -> dict[str, Any]:
    return {
        "on_disconnect": run.on_disconnect,
        "queue_position": place,
        "attempt": run.attempt,
        "max_attempts": run.max_attempts,
        "timeout_seconds": run.timeout_seconds,
        "stopping": run.is_stopping,
        "error": present_error(run.error),
        "reason": run.reason,
        "cancel_action": run.cancel_action,
        "cancelled_by": run.cancelled_by or None,
        "cancelled_at": _time(run.cancelled_at),
        "displaced_by": None if run.displaced_by_id is None else str(run.displaced_by_id),
        "rolled_back_at": _time(run.rolled_back_at),
        "not_before": _time(run.not_before),
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
    }


def _reported(run: Run) -> dict[str, Any]:
    return {
        "model_name": run.model_name,
        "usage": run.usage,
        "message_count": run.message_count,
        "first_message": run.first_message,
        "last_message": run.last_message,
    }


def present_thread(thread: Thread) -> dict[str, Any]:
    """A Thread; its values and interrupts are its head's."""
    head = thread.head
    return {
        "thread_id": str(thread.pk),
        "created_at": _time(thread.created_at),
        "updated_at": _time(thread.updated_at),
        "state_updated_at": _time(thread.state_updated_at),
        "metadata": thread.metadata,
        "status": thread.status,
        "config": {"configurable": {}, **thread.config},
        "values": None if head is None else head.values,
        "error": thread.error,
        "interrupts": {} if head is None else head.interrupts,
    }


def present_state(
    thread_id: UUID, checkpoint: Checkpoint | None, *, live: bool = False, subgraphs: bool = False
) -> dict[str, Any]:
    """A ThreadState; that of an empty thread has nothing in it.

    `live`: what comes next now, without tasks that have finished before their siblings; else what came next then.
    """
    if checkpoint is None:
        return dict(_EMPTY_STATE)
    tasks = _tasks(checkpoint, subgraphs)
    return {
        "values": checkpoint.values,
        "next": checkpoint.next if live else [task["name"] for task in tasks],
        "tasks": tasks,
        "metadata": checkpoint.metadata,
        "created_at": _time(checkpoint.created_at),
        "checkpoint": _reference(thread_id, checkpoint.pk),
        "parent_checkpoint": _reference(thread_id, checkpoint.parent_id),
        "interrupts": [item for items in checkpoint.interrupts.values() for item in items],
        "checkpoint_id": str(checkpoint.pk),
        "parent_checkpoint_id": None if checkpoint.parent_id is None else str(checkpoint.parent_id),
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


def _tasks(checkpoint: Checkpoint, subgraphs: bool) -> list[dict[str, Any]]:
    """A graph's are stored as they are shown; a function has none of its own."""
    if checkpoint.tasks is None:
        return [_task(checkpoint, name) for name in checkpoint.next]
    return [task if subgraphs else {**task, "state": None} for task in checkpoint.tasks]


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


def _reference(thread_id: UUID, checkpoint_id: UUID | None) -> dict[str, str] | None:
    if checkpoint_id is None:
        return None
    return {"checkpoint_id": str(checkpoint_id), "thread_id": str(thread_id), "checkpoint_ns": ""}


def present_assistant(assistant: Assistant, since: datetime) -> dict[str, Any]:
    """An Assistant; it is code, so it has one version and exists since this process knows it."""
    return {
        "assistant_id": str(registry.assistant_id(assistant.name)),
        "graph_id": assistant.name,
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "name": assistant.name,
        "description": assistant.description or None,
        "version": 1,
        "created_at": _time(since),
        "updated_at": _time(since),
    }


def select(presented: Mapping[str, Any], wanted: Sequence[str] | None) -> dict[str, Any]:
    """Only the members that were asked for (None: all); "values.name" is one key of the state."""
    if not wanted:
        return dict(presented)
    chosen = {name: presented[name] for name in wanted if "." not in name}
    if keys := _keys_of_values(wanted):
        values = presented["values"] or {}
        chosen.setdefault("values", {key: values[key] for key in keys if key in values})
    return chosen


def _keys_of_values(wanted: Iterable[str]) -> list[str]:
    return [name.partition(".")[2] for name in wanted if name.startswith("values.")]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")
