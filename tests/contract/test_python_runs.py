"""The official Python client, both of it, unmodified: everything but streams, against a server with a real worker."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import errors

from project.local.running import RunningServer
from tests.contract.conftest import Gates
from tests.contract.proxy import CuttingProxy
from tests.support.ledger import wait_until

pytestmark = pytest.mark.timeout(180)

ONE_STEP = {"count": 1}


# Waiting


def test_wait(sdk: Any, thread_id: str) -> None:
    created: list[Any] = []
    answer = sdk.runs.wait(thread_id, "steps", input={"count": 2}, on_run_created=created.append)

    assert answer == {"log": ["0", "1"]}
    assert sdk.runs.get(thread_id, created[0]["run_id"])["status"] == "success"
    assert sdk.runs.join(thread_id, created[0]["run_id"]) == answer


def test_wait_for_a_run_that_fails(sdk: Any, thread_id: str) -> None:
    with pytest.raises(Exception, match=r"^ValueError: kaput$"):
        sdk.runs.wait(thread_id, "failing", input={})
    told = sdk.runs.wait(thread_id, "failing", input={"message": "again"}, raise_error=False)

    assert told == {"__error__": {"error": "ValueError", "message": "again"}}


@pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect")
def test_waiting_goes_on_after_a_cut(
    connect: Callable[..., Any], live: RunningServer, gates: Gates, aside: ThreadPoolExecutor
) -> None:
    with CuttingProxy(live.url) as proxy:
        sdk, other = connect(proxy.url), connect()
        thread_id = sdk.threads.create()["thread_id"]
        created: list[Any] = []
        given = {"count": 1, "gates": str(gates.directory)}
        waiting = aside.submit(sdk.runs.wait, thread_id, "steps", input=given, on_run_created=created.append)
        wait_until(lambda: created, "the answer to begin")
        assert proxy.cut() >= 1
        gates.open(0)

        assert waiting.result(timeout=60) == {"log": ["0"]}
        assert [run["run_id"] for run in other.runs.list(thread_id)] == [created[0]["run_id"]]


# Creating


def test_a_queue(sdk: Any, thread_id: str, gates: Gates) -> None:
    given = {"count": 1, "gates": str(gates.directory)}
    runs = [
        sdk.runs.create(thread_id, "steps", input={**given, "tag": tag}, multitask_strategy="enqueue") for tag in "abc"
    ]
    wait_until(lambda: sdk.runs.list(thread_id, status="running", limit=1), "the first to begin")
    waiting = sdk.runs.list(thread_id, status="pending", limit=1000, select=["run_id", "kwargs", "created_at"])

    assert [run["run_id"] for run in waiting] == [run["run_id"] for run in reversed(runs[1:])]
    assert set(waiting[0]) == {"run_id", "kwargs", "created_at"}
    gates.open(0)
    assert [sdk.runs.join(thread_id, run["run_id"]) for run in runs] == [
        {"log": ["a0"]},
        {"log": ["a0", "b0"]},
        {"log": ["a0", "b0", "c0"]},
    ]


@pytest.mark.parametrize(("strategy", "log"), [("interrupt", ["a0", "b0"]), ("rollback", ["b0"])])
def test_taking_the_place_of_a_run(sdk: Any, thread_id: str, gates: Gates, strategy: str, log: list[str]) -> None:
    given = {"count": 2, "tag": "a", "gates": str(gates.directory)}
    old = sdk.runs.create(thread_id, "steps", input=given)
    gates.open(0)
    wait_until(lambda: sdk.threads.get_state(thread_id)["values"], "the first step")
    new = sdk.runs.create(thread_id, "steps", input={"count": 1, "tag": "b"}, multitask_strategy=strategy)

    assert new["displaced"] == [old["run_id"]]
    assert sdk.runs.join(thread_id, new["run_id"]) == {"log": log}
    assert sdk.runs.get(thread_id, old["run_id"])["status"] == "interrupted"


def test_what_else_a_create_may_say(sdk: Any) -> None:
    thread_id = str(uuid4())
    run = sdk.runs.create(
        thread_id,
        "steps",
        input=ONE_STEP,
        metadata={"m": 1},
        config={"tags": ["x"], "recursion_limit": 7, "configurable": {"a": 1}},
        stream_mode=["values", "messages-tuple"],
        stream_resumable=True,
        stream_subgraphs=True,
        durability="async",
        if_not_exists="create",
        after_seconds=0.2,
        on_completion="keep",
    )

    assert (run["thread_id"], run["status"], run["metadata"]["m"]) == (thread_id, "pending", 1)
    assert run["not_before"] is not None
    assert run["kwargs"]["stream_mode"] == ["values", "messages-tuple"]
    assert sdk.runs.join(thread_id, run["run_id"]) == {"log": ["0"]}


def test_the_same_key_makes_one_run(sdk: Any, thread_id: str) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    first, second = (sdk.runs.create(thread_id, "steps", input=ONE_STEP, headers=headers) for _ in range(2))

    assert first["run_id"] == second["run_id"]


# Without a thread


def test_runs_without_a_thread(sdk: Any) -> None:
    created: list[Any] = []
    assert sdk.runs.wait(None, "steps", input=ONE_STEP, on_run_created=created.append) == {"log": ["0"]}
    parts = list(sdk.runs.stream(None, "steps", input=ONE_STEP, on_run_created=created.append))
    background = sdk.runs.create(None, "steps", input=ONE_STEP, on_run_created=created.append)

    assert [(part.event, part.data) for part in parts[1:]] == [("values", {"log": ["0"]}), ("end", None)]
    assert created[2] == {"run_id": background["run_id"], "thread_id": None}
    for known in [*created[:2], background]:
        wait_until(partial(_is_gone, sdk, known["thread_id"]), "the thread to be gone")


def _is_gone(sdk: Any, thread_id: str) -> bool:
    try:
        sdk.threads.get(thread_id)
    except errors.NotFoundError:
        return True
    return False


def test_a_run_without_a_thread_that_is_kept(sdk: Any) -> None:
    run = sdk.runs.create(None, "steps", input=ONE_STEP, on_completion="keep")

    assert sdk.runs.join(run["thread_id"], run["run_id"]) == {"log": ["0"]}
    assert sdk.threads.get_state(run["thread_id"])["values"] == {"log": ["0"]}


def test_a_batch_is_accepted_whole_or_not_at_all(sdk: Any) -> None:
    item = {"assistant_id": "steps", "input": ONE_STEP, "on_completion": "keep"}
    runs = sdk.runs.create_batch([item, item])
    assert [sdk.runs.join(run["thread_id"], run["run_id"]) for run in runs] == [{"log": ["0"]}] * 2

    before = sdk.threads.count()
    with pytest.raises(errors.UnprocessableEntityError, match="Invalid assistant: 'nobody'"):
        sdk.runs.create_batch([item, {**item, "assistant_id": "nobody"}])
    assert sdk.threads.count() == before


# Cancelling and deleting


def test_cancel_and_cancel_many(sdk: Any, thread_id: str, gates: Gates) -> None:
    given = {"count": 1, "gates": str(gates.directory)}
    ids = [sdk.runs.create(thread_id, "steps", input=given, multitask_strategy="enqueue")["run_id"] for _ in range(4)]
    sdk.runs.cancel(thread_id, ids[0])
    sdk.runs.cancel(thread_id, ids[0], wait=True, action="rollback")
    sdk.runs.cancel_many(thread_id=thread_id, run_ids=ids[1:3])
    sdk.runs.cancel_many(status="all", action="rollback")

    assert [run["status"] for run in sdk.runs.list(thread_id)] == ["interrupted"] * 4
    assert sdk.runs.get(thread_id, ids[0])["cancel_action"] == "interrupt"
    with pytest.raises(errors.NotFoundError, match="No runs found to cancel"):
        sdk.runs.cancel_many(status="running")


def test_deleting(sdk: Any, thread_id: str, gates: Gates) -> None:
    run = sdk.runs.create(thread_id, "steps", input={"count": 1, "gates": str(gates.directory)})
    sdk.runs.delete(thread_id, run["run_id"])
    with pytest.raises(errors.NotFoundError, match="no run with this id"):
        sdk.runs.get(thread_id, run["run_id"])
    sdk.threads.delete(thread_id)
    assert _is_gone(sdk, thread_id)


# Threads and assistants


def test_threads(sdk: Any) -> None:
    thread_id, mark = str(uuid4()), str(uuid4())
    created = sdk.threads.create(thread_id=thread_id, metadata={"mark": mark}, if_exists="raise", graph_id="steps")
    assert sdk.threads.create(thread_id=thread_id, if_exists="do_nothing") == created
    assert sdk.threads.update(thread_id, metadata={"more": 1})["metadata"]["more"] == 1
    assert sdk.threads.update(thread_id, metadata={"more": 2}, return_minimal=True) is None
    assert sdk.threads.get(thread_id, include=["ttl"])["metadata"] == {"mark": mark, "graph_id": "steps", "more": 2}
    assert sdk.threads.search(metadata={"mark": mark}, select=["thread_id"]) == [{"thread_id": thread_id}]
    assert sdk.threads.count(metadata={"mark": mark}) == 1


def test_states(sdk: Any, thread_id: str) -> None:
    sdk.runs.wait(thread_id, "steps", input={"count": 2})
    states = sdk.threads.get_history(thread_id)

    assert [state["values"]["log"] for state in states] == [["0", "1"], ["0", "1"], ["0"]]
    first = states[2]["checkpoint"]
    assert sdk.threads.get_history(thread_id, before=states[0]["checkpoint"]) == states[1:]
    assert sdk.threads.get_state(thread_id, checkpoint=first) == states[2]
    assert sdk.threads.get_state(thread_id, checkpoint_id=first["checkpoint_id"]) == states[2]
    assert sdk.threads.get_state(thread_id, subgraphs=True) == states[0]
    assert sdk.threads.get_state(thread_id, select=["values.log"]) == {"values": {"log": ["0", "1"]}}


def test_changing_the_state_by_hand(sdk: Any, thread_id: str, gates: Gates) -> None:
    first = sdk.threads.update_state(thread_id, {"log": ["by hand"]})
    assert sdk.runs.wait(thread_id, "steps", input=ONE_STEP) == {"log": ["by hand", "0"]}
    for where in ({"checkpoint": first["checkpoint"]}, {"checkpoint_id": first["checkpoint_id"]}):
        sdk.threads.update_state(thread_id, {"more": 1}, **where)
        assert sdk.threads.get_state(thread_id)["values"] == {"log": ["by hand"], "more": 1}
    sdk.threads.update_state(thread_id, None)
    assert sdk.threads.get_state(thread_id)["values"] == {"log": ["by hand"], "more": 1}

    sdk.runs.create(thread_id, "steps", input={"count": 1, "gates": str(gates.directory)})
    with pytest.raises(errors.ConflictError, match="in flight"):
        sdk.threads.update_state(thread_id, {"more": 2})
    with pytest.raises(errors.UnprocessableEntityError, match="as_node: Only graphs"):
        sdk.threads.update_state(thread_id, {}, as_node="steps")


def test_copying_and_pruning(sdk: Any, thread_id: str) -> None:
    sdk.runs.wait(thread_id, "steps", input=ONE_STEP)
    copy = sdk.threads.copy(thread_id)

    assert sdk.threads.get_state(copy["thread_id"])["values"] == {"log": ["0"]}
    assert sdk.runs.list(copy["thread_id"]) == []
    with pytest.raises(errors.UnprocessableEntityError, match="strategy"):
        sdk.threads.prune([thread_id], strategy="keep_latest")
    assert sdk.threads.prune([thread_id, copy["thread_id"], str(uuid4())]) == {"pruned_count": 2}
    assert _is_gone(sdk, thread_id)


def test_assistants_are_found(sdk: Any) -> None:
    page = sdk.assistants.search(limit=1, sort_by="name", sort_order="asc", response_format="object")
    found = sdk.assistants.search(graph_id="steps", metadata={"created_by": "system"})[0]

    assert page["next"] == "1"
    assert sdk.assistants.get(found["assistant_id"]) == found
    assert sdk.assistants.count(name="fail") == 1


def test_an_assistant_from_its_create_to_its_end(sdk: Any, thread_id: str) -> None:
    mine = sdk.assistants.create(
        "steps", context={"who": "ada"}, config={"recursion_limit": 9}, metadata={"n": 1}, name="Mine", description="d"
    )
    key = mine["assistant_id"]
    assert mine["config"] == {"recursion_limit": 9, "configurable": {"who": "ada"}}
    assert sdk.assistants.create("steps", assistant_id=key, if_exists="do_nothing", name="other") == mine

    assert sdk.assistants.update(key, metadata={"m": 2}, name="Two")["version"] == 2
    assert [version["name"] for version in sdk.assistants.get_versions(key)] == ["Two", "Mine"]
    assert [version["version"] for version in sdk.assistants.get_versions(key, metadata={"m": 2})] == [2]
    assert sdk.assistants.set_latest(key, 1)["name"] == "Mine"

    assert sdk.runs.wait(thread_id, key, input=ONE_STEP) == {"log": ["0"]}
    run = sdk.runs.list(thread_id)[0]
    assert (run["assistant_id"], run["kwargs"]["context"]) == (key, {"who": "ada"})
    sdk.assistants.delete(key)
    with pytest.raises(errors.NotFoundError):
        sdk.assistants.get(key)
    assert sdk.runs.get(thread_id, run["run_id"])["assistant_id"] == key
    again = sdk.assistants.create("steps", assistant_id=key)["assistant_id"]
    sdk.assistants.delete(again, delete_threads=True)
    with pytest.raises(errors.NotFoundError):
        sdk.threads.get(thread_id)


def test_what_the_graph_of_an_assistant_looks_like(sdk: Any) -> None:
    for key in ("steps", sdk.assistants.search(graph_id="steps")[0]["assistant_id"]):
        nodes = sdk.assistants.get_graph(key, xray=True)["nodes"]
        assert [node["id"] for node in nodes] == ["__start__", "steps", "__end__"]
        assert sdk.assistants.get_schemas(key)["graph_id"] == "steps"
        assert sdk.assistants.get_subgraphs(key, recurse=True) == {}
        assert sdk.assistants.get_subgraphs(key, "child") == {}
