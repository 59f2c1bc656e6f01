"""Graphs whose models say what they used."""

from typing import Annotated, Any, TypedDict

from busy import Log, work
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph, add_messages


class Metered(BaseChatModel):
    """Answers with its name and how many messages it was given, of which each is ten tokens."""

    name_of_model: str
    fails: bool = False

    @property
    def _llm_type(self) -> str:
        return "metered"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        if self.fails:
            raise ConnectionError("the model is away")
        asked = 10 * len(messages)
        answer = AIMessage(
            f"{self.name_of_model} of {len(messages)}",
            usage_metadata={"input_tokens": asked, "output_tokens": 3, "total_tokens": asked + 3},
            response_metadata={"model_name": self.name_of_model},
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Talk(Log, total=False):
    messages: Annotated[list[AnyMessage], add_messages]


small, large = Metered(name_of_model="small"), Metered(name_of_model="large")


async def plan(state: Talk) -> dict[str, Any]:
    """Two calls that leave no message, and one that fails."""
    for _ in range(2):
        await small.ainvoke("plan")
    try:
        await Metered(name_of_model="broken", fails=True).ainvoke("plan")
    except ConnectionError:
        return {}
    return {"messages": ["unreachable"]}


def answer(state: Talk) -> dict[str, Any]:
    """A call whose answer is kept."""
    return {"messages": [large.invoke(state["messages"])]}


child = StateGraph(Talk).add_node("answer", answer).add_edge(START, "answer").compile()
talk = StateGraph(Talk).add_sequence([("plan", plan), ("child", child)]).add_edge(START, "plan").compile()
#: Answers, then takes time.
talk_and_work = StateGraph(Talk).add_sequence([("answer", answer), ("work", work)]).add_edge(START, "answer").compile()


class Plain(TypedDict, total=False):
    messages: list[dict[str, Any]]


#: Its messages are objects as OpenAI's, without ids.
plain = (
    StateGraph(Plain)
    .add_node(
        "reply",
        lambda state: {
            "messages": [*state["messages"], {"role": "assistant", "content": [{"type": "text", "text": "plain"}]}]
        },
    )
    .add_edge(START, "reply")
    .compile()
)


def spoil(state: Talk) -> dict[str, Any]:
    """Calls a model, and leaves what no database takes."""
    large.invoke([AIMessage("x")])
    return {"tag": "a\0b"}


spoiling = StateGraph(Talk).add_node("spoil", spoil).add_edge(START, "spoil").compile()
