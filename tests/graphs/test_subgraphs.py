"""What subgraphs hold, by their namespace: read from rows, for web processes import no graph."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from project.local.running import RunningServer, running_server

PROJECT = Path(__file__).parent.parent / "support" / "project" / "langgraph.json"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """As `make up` starts it, with the project's graphs."""
    environment = {"RUNYARD_CONFIG": str(PROJECT)}
    with running_server(tmp_path_factory.mktemp("live"), environment=environment) as server:
        yield server


@pytest.fixture
def sdk(live: RunningServer) -> Iterator[Any]:
    """The client of the one who has the key."""
    with get_sync_client(url=live.url, api_key=live.api_key) as client:
        yield client


def asked(sdk: Any, graph: str = "asking_parent") -> tuple[str, Any]:
    """A thread whose subgraph waits for an answer, and what it waits for."""
    thread_id = str(sdk.threads.create()["thread_id"])
    sdk.runs.wait(thread_id, graph, input={"log": ["in"]})
    return thread_id, sdk.threads.get_state(thread_id)["tasks"][0]["checkpoint"]


def history(sdk: Any, thread_id: str, place: Any, **options: Any) -> list[Any]:
    """The states in a namespace."""
    return list(sdk.threads.get_history(thread_id, checkpoint={"checkpoint_ns": place["checkpoint_ns"]}, **options))


def test_state_with_subgraphs(sdk: Any) -> None:
    """A task is shown with where its subgraph's state is, or with that state."""
    thread_id, place = asked(sdk)
    (bare,) = sdk.threads.get_state(thread_id)["tasks"]
    assert (place["thread_id"], place["checkpoint_ns"]) == (thread_id, f"child:{bare['id']}")
    assert bare["state"] is None
    (task,) = sdk.threads.get_state(thread_id, subgraphs=True)["tasks"]
    assert task["checkpoint"] is None
    inside = task["state"]
    assert (inside["values"], inside["next"]) == ({"inner": ["prepared"]}, ["ask"])
    assert [one["value"] for one in inside["interrupts"]] == ["what?"]
    assert inside["tasks"][0]["interrupts"] == inside["interrupts"] == task["interrupts"]
    root = sdk.threads.get_state(thread_id)["checkpoint_id"]
    assert inside["checkpoint"] == {
        "checkpoint_id": inside["checkpoint_id"],
        "thread_id": thread_id,
        "checkpoint_ns": place["checkpoint_ns"],
        "checkpoint_map": {"": root, place["checkpoint_ns"]: inside["checkpoint_id"]},
    }


def test_state_by_namespace(sdk: Any) -> None:
    """Now without an id, then with one; and with the reference that a former answer had."""
    thread_id, place = asked(sdk)
    now = sdk.threads.get_state(thread_id, checkpoint=place)
    assert (now["values"], now["next"]) == ({"inner": ["prepared"]}, ["ask"])
    then = sdk.threads.get_state(thread_id, checkpoint=now["parent_checkpoint"])
    assert (then["values"], then["next"]) == ({"inner": []}, ["prepare"])
    assert then["tasks"][0]["result"] == {"inner": ["prepared"]}
    assert then["checkpoint"] == now["parent_checkpoint"]
    assert sdk.threads.get_state(thread_id, checkpoint=now["checkpoint"]) == now


def test_history_by_namespace(sdk: Any) -> None:
    """The latest first, before one of them, by metadata; the answer goes on in the same namespace."""
    thread_id, place = asked(sdk)
    states = history(sdk, thread_id, place)
    assert [state["next"] for state in states] == [["ask"], ["prepare"], ["__start__"]]
    assert [state["metadata"]["source"] for state in states] == ["loop", "loop", "input"]
    assert states[-1]["parent_checkpoint"] is None
    assert [state["checkpoint_id"] for state in history(sdk, thread_id, place, before=states[0]["checkpoint"])] == [
        state["checkpoint_id"] for state in states[1:]
    ]
    assert len(history(sdk, thread_id, place, metadata={"source": "input"})) == 1
    assert len(history(sdk, thread_id, place, limit=2)) == 2
    sdk.runs.wait(thread_id, "asking_parent", command={"resume": "A"})
    after = history(sdk, thread_id, place)
    assert [state["values"]["inner"] for state in after[:3]] == [
        ["prepared", "A", "done"],
        ["prepared", "A"],
        ["prepared"],
    ]
    assert (after[0]["next"], after[2]["tasks"][0]["result"]) == ([], {"inner": ["A"]})
    assert [state["checkpoint_id"] for state in after[2:]] == [state["checkpoint_id"] for state in states]


def test_subgraph_of_a_subgraph(sdk: Any) -> None:
    """Each names the next; all in one with `subgraphs`."""
    thread_id, place = asked(sdk, "nested")
    middle = sdk.threads.get_state(thread_id, checkpoint=place)
    assert (middle["values"], middle["next"]) == ({"inner": []}, ["leaf"])
    leaf = sdk.threads.get_state(thread_id, checkpoint=middle["tasks"][0]["checkpoint"])
    assert (leaf["values"], leaf["next"]) == ({"inner": ["prepared"]}, ["ask"])
    assert set(leaf["checkpoint"]["checkpoint_map"].values()) == {
        sdk.threads.get_state(thread_id)["checkpoint_id"],
        middle["checkpoint_id"],
        leaf["checkpoint_id"],
    }
    whole = sdk.threads.get_state(thread_id, subgraphs=True)
    assert whole["tasks"][0]["state"]["tasks"][0]["state"] == leaf
    assert sdk.threads.get_state(thread_id, checkpoint=place, subgraphs=True) == whole["tasks"][0]["state"]


def test_what_is_not_there(sdk: Any) -> None:
    """A subgraph that has not begun has no state; a checkpoint that is not there is said so."""
    thread_id = str(sdk.threads.create()["thread_id"])
    sdk.runs.wait(thread_id, "asking_parent", input={"log": ["in"]}, interrupt_before=["child"])
    (task,) = sdk.threads.get_state(thread_id, subgraphs=True)["tasks"]
    assert (task["checkpoint"], task["state"]["values"], task["state"]["metadata"]) == (None, {}, {})
    place = sdk.threads.get_state(thread_id)["tasks"][0]["checkpoint"]
    assert sdk.threads.get_state(thread_id, checkpoint=place) == task["state"]
    assert history(sdk, thread_id, place) == []
    with pytest.raises(NotFoundError):
        sdk.threads.get_state(thread_id, checkpoint={**place, "checkpoint_id": str(uuid4())})
    with pytest.raises(NotFoundError):
        sdk.threads.get_state(str(uuid4()), checkpoint={"checkpoint_ns": place["checkpoint_ns"]})
    with pytest.raises(UnprocessableEntityError, match="another thread"):
        sdk.threads.get_state(thread_id, checkpoint={**place, "thread_id": str(uuid4())})


def test_a_copied_thread_has_its_subgraphs(sdk: Any) -> None:
    """And goes on inside of them, without touching the original's."""
    thread_id, place = asked(sdk)
    copy = sdk.threads.copy(thread_id)["thread_id"]
    inside = sdk.threads.get_state(copy, subgraphs=True)["tasks"][0]["state"]
    assert (inside["values"], inside["checkpoint"]["thread_id"]) == ({"inner": ["prepared"]}, copy)
    assert sdk.threads.get_state(copy)["tasks"][0]["checkpoint"] == {**place, "thread_id": copy}
    sdk.runs.wait(copy, "asking_parent", command={"resume": "copy"})
    assert history(sdk, copy, place)[0]["values"]["inner"] == ["prepared", "copy", "done"]
    assert history(sdk, thread_id, place)[0]["values"]["inner"] == ["prepared"]
