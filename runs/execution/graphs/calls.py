"""What a graph is called with: from the request as accepted to LangGraph's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.pregel.main import _coerce_context
from langgraph.types import Command, Send, StateUpdate

from runs.assistants import registry
from runs.execution.graphs.durability import INTERNAL_TASK
from runs.execution.graphs.snapshot import Graph
from runs.execution.graphs.start import Start
from runs.models import Run

#: What only the server says; the rest of `configurable` is the caller's.
_RESERVED = ("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id")


@dataclass(frozen=True)
class Call:
    """The arguments of `graph.stream` and `graph.astream`."""

    input: Any
    config: RunnableConfig
    options: dict[str, Any] = field(default_factory=dict)


def make_config(run: Run, start: Start) -> RunnableConfig:
    """The config of a run: the caller's, with ids that he cannot choose."""
    asked = dict(run.kwargs.get("config") or {})
    ids = {"graph_id": run.assistant, "assistant_id": str(run.assistant_id or registry.assistant_id(run.assistant))}
    configurable = {
        name: value
        for name, value in (asked.pop("configurable", None) or {}).items()
        if name not in _RESERVED and not name.startswith("__")
    }
    configurable |= {**ids, "thread_id": str(run.thread_id), "run_id": str(run.pk), "user_id": str(run.owner_id)}
    if start.fork is not None:
        configurable |= {"checkpoint_id": start.fork, "checkpoint_ns": ""}
    config: RunnableConfig = {
        "configurable": configurable,
        "metadata": {**(asked.pop("metadata", None) or {}), **run.metadata, **ids, "run_id": str(run.pk)},
        "run_id": run.pk,
        "run_name": run.assistant,
    }
    for name in ("tags", "recursion_limit", "max_concurrency"):
        if asked.get(name) is not None:
            config[name] = asked[name]
    return config


def make_options(run: Run, graph: Graph) -> dict[str, Any]:
    """Where to stop, how durable each step is, and the context."""
    kwargs = run.kwargs
    return {
        "context": _context(graph, kwargs.get("context")),
        "interrupt_before": kwargs.get("interrupt_before"),
        "interrupt_after": kwargs.get("interrupt_after"),
        "durability": kwargs.get("durability") or "sync",
    }


def _context(graph: Graph, given: Any) -> Any:
    """None if there is none; but a schema whose members all have defaults makes one of nothing."""
    if given or graph.context_schema is None:
        return given or None
    try:
        return _coerce_context(graph.context_schema, {})
    except Exception:  # it has members that must be given: the graph will say so if it needs one
        return None


def make_input(run: Run, start: Start, found: CheckpointTuple | None, own: set[str]) -> Any:
    """What the graph gets; nothing of it again if an earlier attempt has stored it.

    `found`: the head; `own`: tasks of the head for which this run has stored something. An input is stored in a
    checkpoint of the run; a command in what it writes beside the head.
    """
    if run.attempt > 1 and start.head != run.base_id:
        return None
    command = run.kwargs.get("command")
    if command is None:
        return run.kwargs.get("input")
    if run.attempt > 1 and start.fork is None and (own or found is None):
        return _rest_of(run, start, found, own)
    return make_command(command)


def _rest_of(run: Run, start: Start, found: CheckpointTuple | None, own: set[str]) -> Any:
    """Answers by the id of an interrupt are not stored together: those that no task has taken are given again."""
    resume = run.kwargs["command"].get("resume")
    if found is None or INTERNAL_TASK in own or not isinstance(resume, dict):
        return None
    asked: dict[str, Any] = run.overwritten.get(str(start.head), {}).get("interrupts", {})
    taken = {interrupt["id"] for task in own for interrupt in asked.get(task, [])}
    left = {name: answer for name, answer in resume.items() if name not in taken}
    return Command(resume=left) if left else None


def make_command(command: Mapping[str, Any]) -> "Command[Any]":
    """A `command` of the API as LangGraph's. Raises TypeError, ValueError if its goto is none."""
    given: dict[str, Any] = {}
    if command.get("update") is not None:
        update = command["update"]
        given["update"] = [tuple(pair) for pair in update] if isinstance(update, list) else update
    if "resume" in command and command["resume"] is not None:
        given["resume"] = command["resume"]
    if command.get("goto") is not None:
        goto = command["goto"]
        given["goto"] = [_goto(one) for one in goto] if isinstance(goto, list) else _goto(goto)
    return Command(**given)


def make_updates(asked: Mapping[str, Any]) -> list[list[StateUpdate]]:
    """Updates of the state by hand, one list for each superstep."""
    supersteps = asked.get("supersteps")
    return [[_update(one) for one in superstep] for superstep in ([[asked]] if supersteps is None else supersteps)]


def _update(asked: Mapping[str, Any]) -> StateUpdate:
    command = asked.get("command")
    values: Any = asked.get("values") if command is None else make_command(command)
    return StateUpdate(values, asked.get("as_node"))


def _goto(target: Any) -> Any:
    if isinstance(target, dict):
        return Send(target["node"], target.get("input"))
    return target
