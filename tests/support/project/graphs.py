"""Graphs as a user writes them: nothing here knows the server that executes them."""

import asyncio
import operator
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.runtime import Runtime
from langgraph.types import interrupt

#: How often `slow` looks whether there is a file named like its step, if it was given the directory `gates`.
LOOK_SECONDS = 0.01


class Echo(TypedDict, total=False):
    text: str
    log: Annotated[list[str], operator.add]


def _echo(state: Echo) -> dict[str, Any]:
    return {"log": [f"echo {state.get('text', '')}"]}


#: A builder: the server compiles it.
echo = StateGraph(Echo).add_node("echo", _echo).add_edge(START, "echo").add_edge("echo", END)


def _look(state: Echo, config: RunnableConfig) -> dict[str, Any]:
    asked = {"configurable": {"thread_id": config["configurable"]["thread_id"], "checkpoint_ns": ""}}
    found = config["configurable"]["__pregel_checkpointer"].get_tuple(asked)
    return {"log": found.checkpoint["channel_values"]["log"] if found else ["nothing"]}


#: Asks its checkpointer what the thread holds while it is executed.
looking = StateGraph(Echo).add_node("look", _look).add_edge(START, "look").add_edge("look", END).compile()


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def _answer(state: Chat) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three", id="answer")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


chat = StateGraph(Chat).add_node("model", _answer).add_edge(START, "model").add_edge("model", END).compile()


class _Calling(GenericFakeChatModel):
    """Calls a tool, and says so bit by bit."""

    def _stream(self, *args: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        name, key = "write", "call-1"
        for part in ('{"path":', ' "a', '.txt"}'):
            calls = [tool_call_chunk(name=name, args=part, id=key, index=0)]
            yield ChatGenerationChunk(message=AIMessageChunk("", id="answer", tool_call_chunks=calls))
            name = key = None


async def _call(state: Chat) -> dict[str, Any]:
    return {"messages": [await _Calling(messages=iter(())).ainvoke(state["messages"])]}


calling = StateGraph(Chat).add_node("model", _call).add_edge(START, "model").compile()


class Slow(TypedDict, total=False):
    n: int
    delay: float
    tag: str
    gates: str
    log: Annotated[list[str], operator.add]


async def _step(state: Slow) -> dict[str, Any]:
    done = len(state.get("log", []))
    get_stream_writer()({"step": done, "tag": state.get("tag", "")})
    await asyncio.sleep(state.get("delay", 0.0))
    while "gates" in state and not Path(state["gates"], str(done)).exists():
        await asyncio.sleep(LOOK_SECONDS)
    return {"log": [f"{state.get('tag', '')}:{done}"]}


def _more(state: Slow) -> str:
    return "step" if len(state.get("log", [])) < state.get("n", 1) else END


slow = StateGraph(Slow).add_node("step", _step).add_edge(START, "step").add_conditional_edges("step", _more).compile()


class Boom(TypedDict, total=False):
    msg: str


def _explode(state: Boom) -> dict[str, Any]:
    raise ValueError(state.get("msg", "kaput"))


boom = StateGraph(Boom).add_node("explode", _explode).add_edge(START, "explode").compile()


#: No checkpoint can hold what its node leaves.
unstorable_step = (
    StateGraph(Echo).add_node("leave", lambda state: {"log": [threading.Lock()]}).add_edge(START, "leave").compile()
)


class Question(TypedDict, total=False):
    question: str
    answer: str


def _ask(state: Question) -> dict[str, Any]:
    return {"answer": interrupt({"question": state["question"]})}


hitl = StateGraph(Question).add_node("ask", _ask).add_edge(START, "ask").add_edge("ask", END).compile()


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Inner(TypedDict, total=False):
    inner: Annotated[list[str], operator.add]


class Family(Log, Inner, total=False):
    pass


child = StateGraph(Inner).add_node("inner", lambda state: {"inner": ["child"]}).add_edge(START, "inner").compile()
parent = (
    StateGraph(Family)
    .add_node("before", lambda state: {"log": ["before"]})
    .add_node("child", child)
    .add_edge(START, "before")
    .add_edge("before", "child")
    .compile()
)


def _ask_inside(state: Inner) -> dict[str, Any]:
    return {"inner": [interrupt("what?")]}


#: Stops in its middle.
asking_child = (
    StateGraph(Inner)
    .add_sequence(
        [
            ("prepare", lambda state: {"inner": ["prepared"]}),
            ("ask", _ask_inside),
            ("done", lambda state: {"inner": ["done"]}),
        ]
    )
    .add_edge(START, "prepare")
    .compile()
)
asking_parent = (
    StateGraph(Family)
    .add_sequence([("before", lambda state: {"log": ["before"]}), ("child", asking_child)])
    .add_edge(START, "before")
    .compile()
)
#: A subgraph in a subgraph.
nested = (
    StateGraph(Family)
    .add_node("middle", StateGraph(Inner).add_node("leaf", asking_child).add_edge(START, "leaf").compile())
    .add_edge(START, "middle")
    .compile()
)

parallel = (
    StateGraph(Log)
    .add_node("a", lambda state: {"log": ["a"]})
    .add_node("b", lambda state: {"log": ["b"]})
    .add_edge(START, "a")
    .add_edge(START, "b")
    .compile()
)


class Context(TypedDict, total=False):
    name: str


class Seen(TypedDict, total=False):
    seen: dict[str, Any]


def _look(state: Seen, config: RunnableConfig, runtime: Runtime[Context]) -> dict[str, Any]:
    configurable = {k: v for k, v in config["configurable"].items() if k in ("name", "graph_id", "thread_id")}
    return {"seen": {"context": runtime.context, "configurable": configurable, "tags": config.get("tags", [])}}


ctx = StateGraph(Seen, context_schema=Context).add_node("look", _look).add_edge(START, "look").compile()
