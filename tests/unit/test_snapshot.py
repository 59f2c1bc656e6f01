"""What is shown of a graph's tasks while they write, against what LangGraph itself says of the same checkpoint."""

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from runs.execution.graphs.snapshot import Graph, Steps, present_tasks


class State(TypedDict, total=False):
    """`log` is written by everybody."""

    log: Annotated[list[str], operator.add]


def write(_: State) -> Any:
    """A plain result."""
    return {"log": ["written"]}


def say_nothing(_: State) -> Any:
    """A result that is empty."""
    return {}


def ask(_: State) -> Any:
    """A question, which has been answered in the second call."""
    return {"log": [interrupt("why?"), interrupt("really?")]}


def fail(_: State) -> Any:
    """An error."""
    raise ValueError("no")


def make_graph() -> Graph:
    """Tasks of all kinds beside one another, among them those of a Send and of a subgraph."""
    builders: list[Any] = [StateGraph(State), StateGraph(State)]
    builder, of_inner = builders
    inner = of_inner.add_node("write", write).add_edge(START, "write").compile()
    for name, node in {"write": write, "say_nothing": say_nothing, "ask": ask, "inner": inner, "fail": fail}.items():
        builder.add_node(name, node)
    for name in ("write", "say_nothing", "ask", "inner"):
        builder.add_edge(START, name)
    builder.add_conditional_edges(START, lambda _: [Send("write", {}), Send("write", {}), Send("fail", {})])
    made: Graph = builder.compile()
    return made


@pytest.fixture(scope="module")
def stored() -> tuple[Graph, list[CheckpointTuple]]:
    """The graph, and its checkpoints with everything that their tasks have written."""
    graph, saver = make_graph(), InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    bound = graph.copy(update={"checkpointer": saver})
    both: list[Any] = [{"log": []}, Command(resume="because")]
    for given in both:
        with pytest.raises(ValueError, match="no"):
            bound.invoke(given, config)
    return graph, list(saver.list({"configurable": {"thread_id": "1", "checkpoint_ns": ""}}))


def test_tasks_are_shown_as_if_langgraph_had_found_them_again(stored: tuple[Graph, list[CheckpointTuple]]) -> None:
    graph, checkpoints = stored
    kinds = set()
    for whole in checkpoints:
        steps = Steps(graph, lambda _: None)
        steps.snapshot(whole._replace(pending_writes=[]))
        for count in range(len(whole.pending_writes or []) + 1):
            so_far = whole._replace(pending_writes=(whole.pending_writes or [])[:count])
            shown = steps.tasks(so_far)
            alone = present_tasks(Steps(graph, lambda _: None).snapshot(so_far).tasks)
            assert (shown.tasks, shown.next, shown.interrupts) == (alone.tasks, alone.next, alone.interrupts)
            kinds |= {
                name for task in shown.tasks for name in ("error", "interrupts", "checkpoint", "result") if task[name]
            }
    assert kinds == {"error", "interrupts", "checkpoint", "result"}


def test_another_checkpoint_has_tasks_of_its_own(stored: tuple[Graph, list[CheckpointTuple]]) -> None:
    graph, (later, earlier) = stored
    steps = Steps(graph, lambda _: None)
    steps.snapshot(earlier)
    assert steps.tasks(later) == Steps(graph, lambda _: None).tasks(later)
