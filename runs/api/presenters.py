"""From rows to the JSON of LangGraph's API, with members of our own beside its."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from runs.assistants import registry
from runs.models import Assistant, AssistantVersion, Graph, Run, Thread
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
    place = queue_position(created.run) if created.replayed else created.place
    run = present_run(created.run, place=place)
    return {**run, "displaced": [str(displaced.pk) for displaced in created.displaced]}


def present_run(run: Run, *, place: int | None) -> dict[str, Any]:
    """A Run; `place`: how many runs go before it."""
    return {
        "run_id": str(run.pk),
        "thread_id": str(run.thread_id),
        "assistant_id": str(run.assistant_id or registry.assistant_id(run.assistant)),
        "metadata": run.metadata,
        "status": run.status,
        "kwargs": {**KWARGS, **run.kwargs},
        "multitask_strategy": run.multitask_strategy,
        "created_at": present_time(run.created_at),
        "updated_at": present_time(run.updated_at),
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
        "cancelled_at": present_time(run.cancelled_at),
        "displaced_by": None if run.displaced_by_id is None else str(run.displaced_by_id),
        "rolled_back_at": present_time(run.rolled_back_at),
        "not_before": present_time(run.not_before),
        "started_at": present_time(run.started_at),
        "finished_at": present_time(run.finished_at),
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
        "created_at": present_time(thread.created_at),
        "updated_at": present_time(thread.updated_at),
        "state_updated_at": present_time(thread.state_updated_at),
        "metadata": thread.metadata,
        "status": thread.status,
        "config": {"configurable": {}, **thread.config},
        "values": None if head is None else head.values,
        "error": thread.error,
        "interrupts": {} if head is None else head.interrupts,
    }


def present_assistant(assistant: Assistant) -> dict[str, Any]:
    """An Assistant."""
    return {**_content(assistant), "updated_at": present_time(assistant.updated_at)}


def present_version(version: AssistantVersion) -> dict[str, Any]:
    """An AssistantVersion."""
    return {**_content(version), "assistant_id": str(version.assistant_id)}


def _content(row: Assistant | AssistantVersion) -> dict[str, Any]:
    """`context` is shown under the name it had before, too."""
    return {
        "assistant_id": str(row.pk),
        "graph_id": row.graph_id,
        "config": {**row.config, "configurable": row.context} if row.context else row.config,
        "context": row.context,
        "metadata": row.metadata,
        "name": row.name,
        "description": row.description,
        "version": row.version,
        "created_at": present_time(row.created_at),
    }


def present_schemas(graph: Graph) -> dict[str, Any]:
    """A GraphSchema."""
    return {"graph_id": graph.name, **graph.schemas}


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


def present_time(moment: datetime | None) -> str | None:
    """As LangGraph's server writes it."""
    return None if moment is None else moment.isoformat(timespec="microseconds")
