"""A graph as users of LangGraph write them; nothing here knows which server executes it.

START -> draft -> review -> send -> END
           ^________|
"""

import os
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph, add_messages
from langgraph.types import Command, interrupt
from writer import write


class Correspondence(TypedDict, total=False):
    """The letter, the drafts, and what was said about them; at last, what was sent."""

    messages: Annotated[list[AnyMessage], add_messages]
    sent: str


async def draft(state: Correspondence) -> dict[str, Any]:
    """Write; who streams `messages-tuple` sees it grow."""
    return {"messages": [await write(state["messages"])]}


def review(state: Correspondence) -> Command[Literal["draft", "send"]]:
    """Wait, for days if need be, until somebody resumes the thread."""
    verdict = interrupt({"draft": state["messages"][-1].text, "say": "'send', or what to add"})
    if verdict == "send":
        return Command(goto="send")
    return Command(goto="draft", update={"messages": [HumanMessage(verdict)]})


def send(state: Correspondence) -> dict[str, Any]:
    """Post it; who streams `custom` hears of it."""
    get_stream_writer()({"status": "posted"})
    return {"sent": f"{state['messages'][-1].text} {os.environ['SIGNATURE']}"}


graph = (
    StateGraph(Correspondence)
    .add_node("draft", draft)
    .add_node("review", review)
    .add_node("send", send)
    .add_edge(START, "draft")
    .add_edge("draft", "review")
    .compile()
)
