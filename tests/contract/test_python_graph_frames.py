"""What graphs show and keep, with both official Python clients: the frames of every mode, states, forks, copies."""

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.contract.answers import between
from tests.support.ledger import wait_until

pytestmark = pytest.mark.timeout(180)


def stream(sdk: Any, thread_id: str, graph: str, given: Any, **options: Any) -> list[tuple[str, Any]]:
    """Every frame but `metadata` and `end`."""
    return between(sdk.runs.stream(thread_id, graph, input=given, **options))


def test_values_updates_custom(sdk: Any, thread_id: str) -> None:
    """In the order in which they happen: custom, updates, values for each step."""
    frames = stream(sdk, thread_id, "slow", {"n": 2, "tag": "A"}, stream_mode=["values", "updates", "custom"])
    assert frames == [
        ("values", {"n": 2, "tag": "A", "log": []}),
        ("custom", {"step": 0, "tag": "A"}),
        ("updates", {"step": {"log": ["A:0"]}}),
        ("values", {"n": 2, "tag": "A", "log": ["A:0"]}),
        ("custom", {"step": 1, "tag": "A"}),
        ("updates", {"step": {"log": ["A:1"]}}),
        ("values", {"n": 2, "tag": "A", "log": ["A:0", "A:1"]}),
    ]


QUESTION = {"messages": [{"role": "user", "content": "count"}]}


def test_messages_tuple(sdk: Any, thread_id: str) -> None:
    """Tokens, each with what made it, under the event `messages`."""
    frames = stream(sdk, thread_id, "chat", QUESTION, stream_mode="messages-tuple")
    assert {event for event, _ in frames} == {"messages"}
    chunks = [data[0] for _, data in frames]
    assert "".join(chunk["content"] for chunk in chunks) == "one two three"
    assert {chunk["type"] for chunk in chunks} == {"AIMessageChunk"}
    assert frames[0][1][1]["langgraph_node"] == "model"
    assert chunks[-1]["chunk_position"] == "last"


def test_tool_calls(sdk: Any, thread_id: str) -> None:
    """Bit by bit as the model says them, none left out and none put together; the state has the whole."""
    frames = stream(sdk, thread_id, "calling", QUESTION, stream_mode="messages-tuple")
    calls = [call for _, data in frames for call in data[0]["tool_call_chunks"]]
    assert [(call["name"], call["args"], call["id"], call["index"]) for call in calls] == [
        ("write", '{"path":', "call-1", 0),
        (None, ' "a', None, 0),
        (None, '.txt"}', None, 0),
    ]
    (call,) = sdk.threads.get_state(thread_id)["values"]["messages"][-1]["tool_calls"]
    assert (call["name"], call["args"], call["id"]) == ("write", {"path": "a.txt"}, "call-1")


def test_messages(sdk: Any, thread_id: str) -> None:
    """The message as far as it is, each time."""
    frames = stream(sdk, thread_id, "chat", QUESTION, stream_mode="messages")
    assert frames[0][0] == "messages/metadata"
    partial = [data[0] for event, data in frames if event == "messages/partial"]
    assert [one["content"] for one in partial][:3] == ["one", "one ", "one two"]
    assert partial[-1]["content"] == "one two three"
    assert {one["type"] for one in partial} == {"ai"}


def test_tasks_checkpoints_debug(sdk: Any, thread_id: str) -> None:
    """With the members that clients of LangGraph's server find in them."""
    frames = stream(sdk, thread_id, "echo", {"text": "hi"}, stream_mode=["tasks", "checkpoints", "debug"])
    tasks = [data for event, data in frames if event == "tasks"]
    assert (tasks[0]["name"], tasks[0]["input"]["text"]) == ("echo", "hi")
    assert (tasks[1]["error"], tasks[1]["result"], tasks[1]["interrupts"]) == (None, {"log": ["echo hi"]}, [])
    last = [data for event, data in frames if event == "checkpoints"][-1]
    assert last["values"] == {"text": "hi", "log": ["echo hi"]}
    assert last["next"] == []
    assert last["checkpoint"]["checkpoint_id"] == sdk.threads.get_state(thread_id)["checkpoint"]["checkpoint_id"]
    kinds = [data["type"] for event, data in frames if event == "debug"]
    assert kinds == ["checkpoint", "checkpoint", "task", "task_result", "checkpoint"]


def test_events(sdk: Any, thread_id: str) -> None:
    """LangChain's events, and the other modes beside them."""
    frames = stream(sdk, thread_id, "chat", QUESTION, stream_mode=["events", "values"])
    events = [data for event, data in frames if event == "events"]
    assert (events[0]["event"], events[0]["name"]) == ("on_chain_start", "chat")
    assert "on_chat_model_stream" in [one["event"] for one in events]
    assert [data for event, data in frames if event == "values"][-1]["messages"][-1]["content"] == "one two three"


def test_subgraphs(sdk: Any, thread_id: str) -> None:
    """Frames of a subgraph are named by where it is."""
    frames = stream(sdk, thread_id, "parent", {"log": []}, stream_mode="updates", stream_subgraphs=True)
    assert [event.split(":")[0] for event, _ in frames] == ["updates", "updates|child", "updates"]
    assert frames[1][1] == {"inner": {"inner": ["child"]}}


def test_namespaced_frames(sdk: Any, thread_id: str) -> None:
    """In every mode; without `stream_subgraphs` the root graph's alone."""
    modes = ["values", "updates", "messages-tuple", "tasks", "checkpoints", "debug"]
    given: Any = {"messages": [{"role": "user", "content": "hi"}]}
    bare = stream(sdk, thread_id, "talk", given, stream_mode=modes)
    assert {event for event, _ in bare} == {"values", "updates", "messages", "tasks", "checkpoints", "debug"}
    whole = stream(sdk, thread_id, "talk", given, stream_mode=modes, stream_subgraphs=True)
    inside = [event.split("|") for event, _ in whole if "|" in event]
    assert {event for event, _ in inside} == {"values", "updates", "messages", "tasks", "checkpoints", "debug"}
    assert len({namespace for _, namespace in inside}) == 1
    assert inside[0][1].startswith("child:")
    (answer,) = [data[0] for event, data in whole if event.startswith("messages|")]
    assert answer["content"] == "large of 3"


def test_state_history_and_fork(sdk: Any, thread_id: str) -> None:
    """As LangGraph's: newest first, and any of them can be gone on from."""
    sdk.runs.wait(thread_id, "slow", input={"n": 2, "tag": "A"})
    history = sdk.threads.get_history(thread_id)
    assert [state["values"].get("log") for state in history] == [["A:0", "A:1"], ["A:0"], [], []]
    assert [state["metadata"]["source"] for state in history] == ["loop", "loop", "loop", "input"]
    assert [state["next"] for state in history] == [[], ["step"], ["step"], ["__start__"]]
    forked = sdk.runs.wait(thread_id, "slow", checkpoint_id=history[1]["checkpoint"]["checkpoint_id"])
    assert forked["log"] == ["A:0", "A:1"]
    assert len(sdk.threads.get_history(thread_id)) == 5


def test_fork_by_reference(sdk: Any, thread_id: str) -> None:
    """A checkpoint as an answer names it is as good as its id."""
    sdk.runs.wait(thread_id, "slow", input={"n": 3, "tag": "A"})
    former = next(state for state in sdk.threads.get_history(thread_id) if state["values"]["log"] == ["A:0"])
    forked = sdk.runs.wait(thread_id, "slow", command={"update": {"tag": "B"}}, checkpoint=former["checkpoint"])
    assert forked["log"] == ["A:0", "B:1", "B:2"]


def test_search_by_values(sdk: Any) -> None:
    """Of what graphs hold, with only what was asked for, in the order that was asked for."""
    mark = str(uuid4())
    made = [str(sdk.threads.create()["thread_id"]) for _ in range(3)]
    for number, thread_id in enumerate(made):
        sdk.runs.wait(thread_id, "echo", input={"text": mark if number else "other"})
    found = sdk.threads.search(values={"text": mark}, select=["thread_id"], sort_by="created_at", sort_order="asc")
    assert found == [{"thread_id": made[1]}, {"thread_id": made[2]}]
    assert sdk.threads.count(values={"text": mark}) == 2


def test_update_state(sdk: Any, thread_id: str) -> None:
    """Reducers apply, edges of the node are followed, and what cannot be done is said."""
    sdk.runs.wait(thread_id, "slow", input={"n": 3, "tag": "A"}, interrupt_after=["step"])
    made = sdk.threads.update_state(thread_id, {"log": ["by hand"]}, as_node="step")
    state = sdk.threads.get_state(thread_id)
    assert state["checkpoint"]["checkpoint_id"] == made["checkpoint"]["checkpoint_id"]
    assert (state["values"]["log"], state["next"]) == (["A:0", "by hand"], ["step"])
    assert state["metadata"]["source"] == "update"
    assert len(sdk.runs.list(thread_id)) == 1
    assert sdk.runs.wait(thread_id, "slow", input=None)["log"] == ["A:0", "by hand", "A:2"]
    with pytest.raises(Exception, match="no_such_node"):
        sdk.threads.update_state(thread_id, {"log": []}, as_node="no_such_node")
    sdk.threads.update_state(thread_id, None, as_node="step")
    assert sdk.threads.get_state(thread_id)["values"]["log"] == ["A:0", "by hand", "A:2"]


def test_supersteps(sdk: Any) -> None:
    """A thread begins with the state that it had elsewhere, step by step, and goes on from there."""
    steps = [
        {"updates": [{"values": {"n": 3, "tag": "A"}, "as_node": "__input__"}]},
        {"updates": [{"values": {"n": 3, "tag": "A"}, "as_node": "__start__"}]},
        {"updates": [{"values": {"log": ["A:0"]}, "as_node": "step"}]},
        {"updates": [{"values": None, "command": {"update": {"log": ["A:1"]}}, "as_node": "step"}]},
    ]
    thread = sdk.threads.create(graph_id="slow", supersteps=steps)
    assert (thread["status"], thread["values"]["log"]) == ("interrupted", ["A:0", "A:1"])
    thread_id = thread["thread_id"]
    history = sdk.threads.get_history(thread_id)
    assert [state["values"].get("log") for state in history] == [["A:0", "A:1"], ["A:0"], [], []]
    assert [state["metadata"]["source"] for state in history] == ["update", "update", "update", "input"]
    assert sdk.runs.list(thread_id) == []
    assert sdk.runs.wait(thread_id, "slow", input=None)["log"] == ["A:0", "A:1", "A:2"]


def test_supersteps_that_cannot_be(sdk: Any) -> None:
    """There is no thread then."""
    updates = [{"updates": [{"values": {"log": []}, "as_node": "no_such_node"}]}]
    for asked, why in (({"graph_id": "slow"}, "no_such_node"), ({}, "graph_id")):
        thread_id = str(uuid4())
        with pytest.raises(UnprocessableEntityError, match=why):
            sdk.threads.create(thread_id=thread_id, supersteps=updates, **asked)
        with pytest.raises(NotFoundError):
            sdk.threads.get(thread_id)
    with pytest.raises(UnprocessableEntityError, match="if_exists"):
        sdk.threads.create(thread_id=str(uuid4()), graph_id="slow", supersteps=updates, if_exists="do_nothing")


def test_copy_waits_for_the_same_answer(sdk: Any, thread_id: str) -> None:
    """A copied thread has the state and the open question; what happens to one does not touch the other."""
    sdk.runs.wait(thread_id, "hitl", input={"question": "yes?"})
    copy = sdk.threads.copy(thread_id)["thread_id"]
    assert sdk.threads.get_state(copy)["values"] == {"question": "yes?"}
    assert sdk.runs.wait(copy, "hitl", command={"resume": "copy"})["answer"] == "copy"
    assert sdk.threads.get_state(thread_id)["values"] == {"question": "yes?"}
    assert sdk.runs.wait(thread_id, "hitl", command={"resume": "original"})["answer"] == "original"


def test_deleted_id_starts_empty(sdk: Any, thread_id: str) -> None:
    """A thread with an id used before knows nothing of the former."""
    sdk.runs.wait(thread_id, "echo", input={"text": "old"})
    sdk.threads.delete(thread_id)

    def again() -> Any:
        with suppress(ConflictError):  # it is being deleted
            return sdk.threads.create(thread_id=thread_id)
        return None

    wait_until(again, "the former thread to be gone")
    assert sdk.runs.wait(thread_id, "echo", input={"text": "new"})["log"] == ["echo new"]
