"""Graphs that spend time until the test lets them go on, and say in the ledger what they do."""

import asyncio
import operator
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tests.support.ledger import BEAT_SECONDS, gate_is_open, note


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    tag: str


@contextmanager
def _present(config: RunnableConfig, what: str) -> Iterator[str]:
    """Notes when a node begins and when it has left, however it leaves."""
    run, attempt = config["metadata"]["run_id"], 0
    note(run, attempt, f"start {what}")
    try:
        yield run
    except BaseException as error:
        note(run, attempt, f"{type(error).__name__} in {what}")
        raise
    finally:
        note(run, attempt, f"left {what}")


def _wait(run: str, gate: str) -> None:
    while not gate_is_open(gate):
        note(run, 0, "beat")
        time.sleep(BEAT_SECONDS)


def first(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """A step that is over at once."""
    with _present(config, "first"):
        return {"log": [f"{state.get('tag', '')}:first"]}


def work(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """A step that takes until the gate named like the run is open."""
    with _present(config, "work") as run:
        _wait(run, run)
    return {"log": [f"{state.get('tag', '')}:work"]}


async def awork(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """The same, awaiting."""
    with _present(config, "work") as run:
        while not gate_is_open(run):
            note(run, 0, "beat")
            await asyncio.sleep(BEAT_SECONDS)
    return {"log": [f"{state.get('tag', '')}:work"]}


async def aresting(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """Awaits what never comes, and executes nothing meanwhile."""
    with _present(config, "work"):
        await asyncio.Event().wait()
    return {}


def beside(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """Another step that takes as long."""
    with _present(config, "beside") as run:
        _wait(run, run)
    return {"log": [f"{state.get('tag', '')}:beside"]}


async def ahello(state: Log) -> dict[str, Any]:
    """Only there so that the graph needs an event loop."""
    return {}


def _sequence(*nodes: tuple[str, Any]) -> Any:
    return StateGraph(Log).add_sequence(list(nodes)).add_edge(START, nodes[0][0])


sync_graph = _sequence(("first", first), ("work", work)).compile()
async_graph = _sequence(("first", first), ("work", awork)).compile()
resting_graph = _sequence(("work", aresting)).compile()
mixed_graph = _sequence(("first", first), ("hello", ahello), ("work", work)).compile()


def choose(state: Log, config: RunnableConfig) -> str:
    """Chooses the first node."""
    with _present(config, "choose"):
        return "work"


choosing = StateGraph(Log).add_node("work", work).add_conditional_edges(START, choose, ["work"]).compile()
choosing_inside = StateGraph(Log).add_node("child", choosing).add_edge(START, "child").compile()


class Given(TypedDict, total=False):
    log: list[str]
    tag: str
    many: dict[str, int]


def change(state: Given, config: RunnableConfig) -> dict[str, Any]:
    """Changes what it was given, for as long as somebody might be reading it."""
    state["log"].append("changed")
    for number in range(20_000):
        state["many"][f"new {number}"] = number
    with _present(config, "work") as run:
        _wait(run, run)
    return {"log": state["log"], "many": {}}


changing = StateGraph(Given).add_node("work", change).add_edge(START, "work").compile()
parallel_graph = (
    _sequence(("first", first), ("work", work)).add_node("beside", beside).add_edge("first", "beside").compile()
)


def quick(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """A sibling that is over at once."""
    with _present(config, "quick"):
        return {"log": [f"{state.get('tag', '')}:quick"]}


#: One of two siblings finishes before the other.
siblings = (
    StateGraph(Log)
    .add_node("quick", quick)
    .add_node("work", work)
    .add_edge(START, "quick")
    .add_edge(START, "work")
    .compile()
)


class Asking(Log, total=False):
    answers: Annotated[list[str], operator.add]


def ask(state: Asking, config: RunnableConfig) -> dict[str, Any]:
    """Two questions in one node."""
    with _present(config, "ask"):
        return {"answers": [interrupt("first?"), interrupt("second?")]}


asking = StateGraph(Asking).add_node("first", first).add_node("ask", ask).add_node("work", work)
asking = asking.add_edge(START, "first").add_edge("first", "ask").add_edge("ask", "work").compile()


class Memory(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]


remember = (
    StateGraph(Memory).add_node("see", lambda state: {"seen": ["!"]}).add_edge(START, "see").compile(checkpointer=True)
)


class Remembering(Log, total=False):
    count: int


def call(state: Remembering, config: RunnableConfig) -> dict[str, Any]:
    """Asks the subgraph how much it remembers."""
    return {"count": len(remember.invoke({"seen": [state.get("tag", "")]}, config)["seen"])}


#: A subgraph with a memory of its own, then a step that takes time.
memory = (
    StateGraph(Remembering)
    .add_node("call", call)
    .add_node("work", work)
    .add_edge(START, "call")
    .add_edge("call", "work")
    .compile()
)


def hold(state: Asking, config: RunnableConfig) -> dict[str, Any]:
    """Asks, and takes time once it has its answer."""
    answer = interrupt("hold?")
    with _present(config, "hold") as run:
        _wait(run, run)
    return {"answers": [answer]}


#: Two siblings ask; one asks again while the other works.
asking_beside = (
    StateGraph(Asking)
    .add_node("ask", ask)
    .add_node("hold", hold)
    .add_edge(START, "ask")
    .add_edge(START, "hold")
    .compile()
)


def ask_inside(state: Asking) -> dict[str, Any]:
    """A question."""
    return {"answers": [interrupt("inside?")]}


#: A subgraph asks, and takes time once it has its answer.
asking_inside = (
    StateGraph(Asking)
    .add_node(
        "child", StateGraph(Asking).add_sequence([("ask", ask_inside), ("work", work)]).add_edge(START, "ask").compile()
    )
    .add_edge(START, "child")
    .compile()
)


#: Asks, and takes time once it has its answer.
asking_once = StateGraph(Asking).add_node("hold", hold).add_edge(START, "hold").compile()


def append(log: list[str], writes: Sequence[list[str]]) -> list[str]:
    """A reducer of several writes at once."""
    return [*log, *(one for several in writes for one in several)]


class Differences(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(append, snapshot_frequency=3)]
    tag: str


#: Of its log only what changes is stored, and the whole now and then.
differing = (
    StateGraph(Differences)
    .add_node("first", first, input_schema=Differences)
    .add_node("work", work, input_schema=Differences)
    .add_edge(START, "first")
    .add_edge("first", "work")
    .compile()
)


class More(Log, total=False):
    extra: str


def enlarge(state: More, config: RunnableConfig) -> dict[str, Any]:
    """Writes a channel that was empty before."""
    return {"extra": state.get("tag", ""), "log": [f"{state.get('tag', '')}:enlarge"]}


#: A run that adds a channel, then takes time.
enlarging = (
    StateGraph(More)
    .add_node("enlarge", enlarge)
    .add_node("work", work)
    .add_edge(START, "enlarge")
    .add_edge("enlarge", "work")
    .compile()
)


def stubborn(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """When it is interrupted it tidies up until its gate is open, and then answers as if nothing had happened."""
    with _present(config, "work") as run:
        try:
            _wait(run, f"{run}-never")
        except BaseException:
            note(run, 0, "tidying up")
            _wait(run, run)
    return {"log": [f"{state.get('tag', '')}:late"]}


async def astubborn(state: Log, config: RunnableConfig) -> dict[str, Any]:
    """The same, awaiting."""
    with _present(config, "work") as run:
        try:
            await asyncio.Event().wait()
        except BaseException:
            note(run, 0, "tidying up")
            while not gate_is_open(run):
                await asyncio.sleep(BEAT_SECONDS)
    return {"log": [f"{state.get('tag', '')}:late"]}


stubborn_graph = _sequence(("first", first), ("work", stubborn)).compile()
async_stubborn_graph = _sequence(("first", first), ("work", astubborn)).compile()
