"""`RemoteGraph`, LangGraph's own stand-in for a graph elsewhere: nothing but the address differs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client

from project.local.running import RunningServer
from tests.contract.blocking import Blocking, event_loop

pytestmark = pytest.mark.timeout(180)

QUESTION: Any = {"messages": [{"role": "user", "content": "count"}]}


class Asynchronous:
    """The methods that begin with an `a`, called by the names of the others."""

    def __init__(self, graph: Blocking) -> None:
        self._graph = graph

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, f"a{name}")


@pytest.fixture(params=["sync", "async"])
def remote(request: pytest.FixtureRequest, live: RunningServer) -> Iterator[Callable[[str], Any]]:
    """Makes stand-ins of one kind, then of the other."""
    with ExitStack() as stack:
        if request.param == "sync":
            client = stack.enter_context(get_sync_client(url=live.url, api_key=live.api_key))
            yield lambda name: RemoteGraph(name, sync_client=client)
        else:
            loop, far = stack.enter_context(event_loop()), get_client(url=live.url, api_key=live.api_key)
            stack.callback(Blocking(far, loop).aclose)
            yield lambda name: Asynchronous(Blocking(RemoteGraph(name, client=far), loop))


@pytest.fixture
def config() -> Any:
    """Of a thread that the first run makes."""
    return {"configurable": {"thread_id": str(uuid4())}}


def test_invoke_and_stream(remote: Callable[[str], Any], config: Any) -> None:
    slow = remote("slow")
    assert slow.invoke({"n": 1, "tag": "R"}, config)["log"] == ["R:0"]
    assert list(slow.stream({"n": 2, "tag": "R"}, config, stream_mode="updates")) == [{"step": {"log": ["R:1"]}}]
    assert slow.invoke({"n": 1, "tag": "R"})["log"] == ["R:0"], "without a thread"
    modes = list(slow.stream({"n": 3, "tag": "R"}, config, stream_mode=["custom", "updates"]))
    assert [(part.event, part.data) for part in modes] == [
        ("custom", {"step": 2, "tag": "R"}),
        ("updates", {"step": {"log": ["R:2"]}}),
    ]


def test_stream_of_messages_and_of_subgraphs(remote: Callable[[str], Any], config: Any) -> None:
    chunks = list(remote("chat").stream(QUESTION, config, stream_mode="messages"))
    assert "".join(chunk["content"] for chunk, _ in chunks) == "one two three"
    parts = list(remote("parent").stream({"log": []}, stream_mode="updates", subgraphs=True))
    assert [tuple(name.split(":")[0] for name in where) for where, _ in parts] == [(), ("child",), ()]
    assert parts[1][1] == {"inner": {"inner": ["child"]}}


def test_a_failure(remote: Callable[[str], Any], config: Any) -> None:
    with pytest.raises(RemoteException, match="kaput"):
        remote("boom").invoke({"msg": "kaput"}, config)


def test_get_state_update_state_and_history(remote: Callable[[str], Any], config: Any) -> None:
    slow = remote("slow")
    slow.invoke({"n": 3, "tag": "R"}, config, interrupt_after=["step"])
    state = slow.get_state(config)
    assert (state.values["log"], state.next, state.metadata["source"]) == (["R:0"], ("step",), "loop")
    assert state.config["configurable"]["thread_id"] == config["configurable"]["thread_id"]

    made = slow.update_state(config, {"log": ["by hand"]}, as_node="step")
    changed = slow.get_state(config)
    assert (changed.values["log"], changed.next, changed.metadata["source"]) == (
        ["R:0", "by hand"],
        ("step",),
        "update",
    )
    assert made["configurable"]["checkpoint_id"] == changed.config["configurable"]["checkpoint_id"]
    assert slow.get_state(state.config).values["log"] == ["R:0"], "a former state is still there"
    assert slow.invoke(None, config)["log"] == ["R:0", "by hand", "R:2"]

    states = list(slow.get_state_history(config))
    assert [one.values.get("log") for one in states][:3] == [["R:0", "by hand", "R:2"], ["R:0", "by hand"], ["R:0"]]
    assert states[1].parent_config["configurable"]["checkpoint_id"] == state.config["configurable"]["checkpoint_id"]
    assert [one.values for one in slow.get_state_history(config, limit=1)] == [states[0].values]
    assert list(slow.get_state_history(config, before=states[0].config)) == states[1:]
    assert list(slow.get_state_history(config, filter={"source": "update"})) == [states[1]]


def test_a_state_with_subgraphs(remote: Callable[[str], Any], config: Any) -> None:
    parent = remote("parent")
    parent.invoke({"log": []}, config, interrupt_before=["child"])
    assert [task.name for task in parent.get_state(config, subgraphs=True).tasks] == ["child"]


def test_a_human_answers(remote: Callable[[str], Any], config: Any) -> None:
    hitl = remote("hitl")
    (asked,) = hitl.invoke({"question": "q?"}, config)["__interrupt__"]
    (task,) = hitl.get_state(config).tasks
    assert (task.name, task.interrupts[0].value, task.interrupts[0].id) == ("ask", {"question": "q?"}, asked["id"])
    assert hitl.invoke(Command(resume="yes"), config) == {"question": "q?", "answer": "yes"}


def test_what_the_graph_looks_like(remote: Callable[[str], Any]) -> None:
    assert set(remote("parent").get_graph().nodes) == {"__start__", "before", "child", "__end__"}


def test_a_node_of_a_graph_that_is_executed_here(live: RunningServer) -> None:
    """The thread of the outer graph has its namesake on the server."""
    inner = RemoteGraph("chat", sync_client=(sdk := get_sync_client(url=live.url, api_key=live.api_key)))
    outer = StateGraph(MessagesState).add_node("chat", inner).add_edge(START, "chat").compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": str(uuid4())}}
    with sdk:
        values: Any = outer.invoke(QUESTION, config)
        kept: Any = sdk.threads.get_state(config["configurable"]["thread_id"])["values"]
    assert [message["content"] for message in kept["messages"]] == ["count", "one two three"]
    assert [message.content for message in values["messages"]] == ["count", "one two three"]
