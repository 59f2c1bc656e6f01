"""What every server executes: graphs of one asynchronous node, the kind that suits all of them."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    """`log` shows which runs have left a step."""

    seconds: float
    count: int
    log: Annotated[list[str], operator.add]


async def answer(state: State) -> State:
    """Nothing."""
    return {"log": ["answered"]}


async def wait(state: State) -> State:
    """What a call of a model looks like to a server."""
    await asyncio.sleep(state["seconds"])
    return {"log": ["waited"]}


async def emit(state: State) -> State:
    """`count` events of `custom`."""
    write = get_stream_writer()
    for number in range(state["count"]):
        write({"number": number})
        await asyncio.sleep(0)
    return {"log": ["emitted"]}


async def speak(state: State) -> State:
    """`count` tokens of `messages-tuple`."""
    model = GenericFakeChatModel(messages=iter([AIMessage(" ".join("word" for _ in range(state["count"] // 2)))]))
    await model.ainvoke("speak")
    return {"log": ["spoken"]}


def _graph(node: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile()


no_work, waits, frames, tokens = (_graph(node) for node in (answer, wait, emit, speak))
