"""Graphs of a LangGraph project and both official Python clients, point by point: what whoever comes from LangGraph's
server relies on. `javascript/graphs.test.mjs` has the same points with the JavaScript client.

The name of each test begins with the number of its point. Points 5 and 8 are in test_python_strategies.py and
test_python_leaving.py, the frames of every mode in test_python_graph_frames.py.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import errors

from project.local.running import RunningServer
from tests.contract.answers import END, begun, between, shown, status, take, wait_for_status
from tests.contract.conftest import Gates
from tests.contract.slow import in_the_second_step, log, slow

pytestmark = pytest.mark.timeout(180)

FAR_AWAY = 3600


# 1. A run


def test_1_a_run_from_pending_to_success(sdk: Any, thread_id: str, gates: Gates) -> None:
    created: list[Any] = []
    run = sdk.runs.create(thread_id, "slow", input=slow(gates), on_run_created=created.append)
    run_id = run["run_id"]
    assert (run["status"], sdk.threads.get(thread_id)["status"]) == ("pending", "busy")
    assert created == [{"run_id": run_id, "thread_id": thread_id}], "this is what Content-Location says"
    wait_for_status(sdk, thread_id, run_id, "running")
    assert sdk.threads.get(thread_id)["status"] == "busy"

    gates.open(0, 1)
    assert sdk.runs.join(thread_id, run_id)["log"] == ["A:0", "A:1"]
    assert (status(sdk, thread_id, run_id), sdk.threads.get(thread_id)["status"]) == ("success", "idle")


@pytest.mark.parametrize(
    ("graph", "given", "values"),
    [
        ("echo", {"text": "hi"}, {"text": "hi", "log": ["echo hi"]}),
        ("parent", {"log": ["in"]}, {"log": ["in", "before"], "inner": ["child"]}),
        ("parallel", {"log": []}, {"log": ["a", "b"]}),
        ("sync_factory", {}, {"log": ["sync "]}),
        ("async_factory", {}, {"log": ["async"]}),
        ("managed_factory", {}, {"log": ["managed"]}),
        ("runtime_factory", {}, {"log": ["threads.create_run from langgraph.json"]}),
        ("packaged", {}, {"price": 3}),
    ],
)
def test_1_each_kind_of_graph(sdk: Any, thread_id: str, graph: str, given: Any, values: Any) -> None:
    assert sdk.runs.wait(thread_id, graph, input=given) == values
    assert sdk.threads.get(thread_id)["values"] == values


# 2. The form of a stream


def test_2_a_stream_byte_by_byte(live: RunningServer) -> None:
    with httpx.Client(base_url=live.url, headers={"x-api-key": live.api_key}, timeout=60) as client:
        thread = f"/threads/{client.post('/threads', json={}).json()['thread_id']}"
        answer = client.post(f"{thread}/runs/stream", json={"assistant_id": "echo", "input": {"text": "hi"}})
        run = client.get(answer.headers["content-location"]).json()

    assert run["status"] == "success", "the outcome is there before the stream ends"
    where = f"{thread}/runs/{run['run_id']}"
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    assert (answer.headers["content-location"], answer.headers["location"].split("?")[0]) == (where, f"{where}/stream")
    *frames, rest = answer.text.split("\r\n\r\n")
    assert (rest, answer.text.count("\n"), answer.text.count("\r\n")) == ("", len(frames) * 4, len(frames) * 4)
    assert frames == [
        f'event: metadata\r\ndata: {{"run_id":"{run["run_id"]}","attempt":1}}\r\nid: 1-0',
        'event: values\r\ndata: {"text":"hi","log":[]}\r\nid: 1-1',
        'event: values\r\ndata: {"text":"hi","log":["echo hi"]}\r\nid: 1-2',
        "event: end\r\ndata: null\r\nid: 1-18446744073709551615",
    ]


# 3. A failure


def test_3_a_graph_that_fails(sdk: Any, thread_id: str) -> None:
    told = {"error": "ValueError", "message": "kaput"}
    given = {"msg": "kaput"}
    assert shown(sdk.runs.stream(thread_id, "boom", input=given))[-2:] == [("error", told), END]
    assert sdk.runs.wait(thread_id, "boom", input=given, raise_error=False) == {"__error__": told}
    with pytest.raises(Exception, match=r"^ValueError: kaput$"):
        sdk.runs.wait(thread_id, "boom", input=given)

    thread = sdk.threads.get(thread_id)
    assert (thread["status"], thread["error"], thread["interrupts"]) == ("error", told, {})
    assert [run["status"] for run in sdk.runs.list(thread_id)] == ["error"] * 3
    assert sdk.threads.get_state(thread_id)["tasks"][0]["error"] == "ValueError('kaput')"


# 4. A human in the loop


@pytest.mark.parametrize("by_id", [False, True], ids=["by value", "by id"])
def test_4_a_human_answers(sdk: Any, thread_id: str, by_id: bool) -> None:
    frames = between(sdk.runs.stream(thread_id, "hitl", input={"question": "q?"}, stream_mode=["values", "updates"]))
    question = frames[-1][1]["__interrupt__"][0]
    assert question["value"] == {"question": "q?"}
    assert [data["__interrupt__"] for event, data in frames if event == "updates"] == [[question]]
    assert [run["status"] for run in sdk.runs.list(thread_id)] == ["success"]
    thread, state = sdk.threads.get(thread_id), sdk.threads.get_state(thread_id)
    assert (thread["status"], state["next"]) == ("interrupted", ["ask"])
    assert [(one["id"], one["value"]) for one in thread["interrupts"][state["tasks"][0]["id"]]] == [
        (question["id"], {"question": "q?"})
    ]

    answer = {question["id"]: "yes"} if by_id else "yes"
    values = sdk.runs.wait(thread_id, "hitl", command={"resume": answer})
    assert values == {"question": "q?", "answer": "yes"}
    thread = sdk.threads.get(thread_id)
    assert (thread["status"], thread["interrupts"], thread["values"]) == ("idle", {}, values)


def test_4_a_new_input_drops_the_question(sdk: Any, thread_id: str) -> None:
    """A thread that waits for a human is not busy: a run is admitted, and begins at the beginning."""
    sdk.runs.wait(thread_id, "hitl", input={"question": "first?"})
    asked = sdk.runs.wait(thread_id, "hitl", input={"question": "second?"}, multitask_strategy="reject")
    assert [one["value"] for one in asked["__interrupt__"]] == [{"question": "second?"}]


def test_4_a_breakpoint(sdk: Any, thread_id: str) -> None:
    assert sdk.runs.wait(thread_id, "parent", input={"log": []}, interrupt_before=["child"])["log"] == ["before"]
    thread = sdk.threads.get(thread_id)
    assert (thread["status"], thread["interrupts"]) == ("interrupted", {})
    assert sdk.threads.get_state(thread_id)["next"] == ["child"]
    assert sdk.runs.wait(thread_id, "parent", input=None)["inner"] == ["child"]


# 6. Cancel


@pytest.mark.parametrize("wait", [False, True], ids=["wait=0", "wait=1"])
@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_6_cancel_while_running(sdk: Any, thread_id: str, gates: Gates, action: str, wait: bool) -> None:
    run_id = in_the_second_step(sdk, thread_id, gates)
    assert sdk.runs.cancel(thread_id, run_id, action=action, wait=wait) is None
    run = sdk.runs.get(thread_id, run_id)
    assert (run["status"], run["rolled_back_at"] is None) == ("interrupted", action == "interrupt")
    assert log(sdk, thread_id) == (["A:0"] if action == "interrupt" else None)
    assert sdk.threads.get(thread_id)["status"] == ("interrupted" if action == "interrupt" else "idle")
    if wait:
        assert run["stopping"] is False, "nothing executes it any more"
    sdk.runs.cancel(thread_id, run_id, action="interrupt", wait=wait)
    assert sdk.runs.get(thread_id, run_id)["cancel_action"] == action, "the first one stays"


@pytest.mark.parametrize("wait", [False, True], ids=["wait=0", "wait=1"])
@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_6_cancel_while_pending(sdk: Any, thread_id: str, action: str, wait: bool) -> None:
    run_id = sdk.runs.create(thread_id, "slow", input={"n": 1}, after_seconds=FAR_AWAY)["run_id"]
    assert sdk.threads.get(thread_id)["status"] == "busy"
    assert sdk.runs.cancel(thread_id, run_id, action=action, wait=wait) is None
    run = sdk.runs.get(thread_id, run_id)
    assert (run["status"], run["attempt"], sdk.threads.get(thread_id)["status"]) == ("interrupted", 0, "idle")
    assert sdk.runs.join(thread_id, run_id) == {}


def test_6_cancel_of_what_has_ended_or_never_was(sdk: Any, thread_id: str) -> None:
    sdk.runs.wait(thread_id, "echo", input={"text": "hi"})
    sdk.runs.wait(thread_id, "boom", input={}, raise_error=False)
    for run in sdk.runs.list(thread_id):
        with pytest.raises(errors.ConflictError, match=run["status"]):
            sdk.runs.cancel(thread_id, run["run_id"])
    with pytest.raises(errors.NotFoundError, match="no run with this id"):
        sdk.runs.cancel(thread_id, str(uuid4()))


def test_6_cancel_many(sdk: Any, thread_id: str, gates: Gates) -> None:
    ids = [in_the_second_step(sdk, thread_id, gates)]
    behind: dict[str, Any] = {"input": slow(gates), "multitask_strategy": "enqueue"}
    ids += [sdk.runs.create(thread_id, "slow", **behind)["run_id"] for _ in range(2)]
    sdk.runs.cancel_many(thread_id=thread_id, run_ids=[*ids[:2], str(uuid4())], action="rollback")
    assert [status(sdk, thread_id, one) for one in ids[:2]] == ["interrupted"] * 2
    sdk.runs.cancel(thread_id, ids[2], wait=True)
    assert status(sdk, thread_id, ids[2]) == "interrupted"
    with pytest.raises(errors.NotFoundError):
        sdk.runs.cancel_many(thread_id=thread_id, run_ids=[str(uuid4())])
    with pytest.raises(errors.UnprocessableEntityError):
        sdk.runs.cancel_many(thread_id=thread_id, run_ids=ids, status="all")


def test_6_a_cancelled_run_is_gone_on_with(sdk: Any, thread_id: str, gates: Gates) -> None:
    run_id = in_the_second_step(sdk, thread_id, gates)
    sdk.runs.cancel(thread_id, run_id, wait=True)
    assert sdk.threads.get_state(thread_id)["next"] == ["step"]
    gates.open(1)
    assert sdk.runs.wait(thread_id, "slow", input=None)["log"] == ["A:0", "A:1"]


# 7. Following a run


def test_7_a_stream_is_resumed_anywhere(sdk: Any, thread_id: str, gates: Gates) -> None:
    """Whether `stream_resumable` was asked for or not: from the start, after any event, and on into what happens."""
    run_id = in_the_second_step(sdk, thread_id, gates, stream_mode=["values", "custom"])
    first = ("values", {**slow(gates), "log": ["A:0"]})
    streams = {place: sdk.runs.join_stream(thread_id, run_id, last_event_id=place) for place in (None, "-1", "0")}
    early = {place: take(stream, *first) for place, stream in streams.items()}
    after = sdk.runs.join_stream(thread_id, run_id, last_event_id=early["-1"][2].id)
    gates.open(1)
    everything = [shown(early[place]) + shown(stream) for place, stream in streams.items()]

    assert everything[0] == [
        begun(run_id),
        ("values", {**slow(gates), "log": []}),
        ("custom", {"step": 0, "tag": "A"}),
        first,
        ("custom", {"step": 1, "tag": "A"}),
        ("values", {**slow(gates), "log": ["A:0", "A:1"]}),
        END,
    ]
    assert everything == [everything[0]] * 3
    assert shown(after) == everything[0][3:]
    chosen = shown(sdk.runs.join_stream(thread_id, run_id, stream_mode="custom"))
    assert chosen == [part for part in everything[0] if part[0] != "values"]


# 9. Without a thread


def test_9_without_a_thread(sdk: Any) -> None:
    created: list[Any] = []
    given = {"input": {"text": "hi"}, "on_run_created": created.append}
    assert sdk.runs.wait(None, "echo", **given)["log"] == ["echo hi"]
    assert between(sdk.runs.stream(None, "echo", **given))[-1][1]["log"] == ["echo hi"]
    kept = sdk.runs.create(None, "echo", on_completion="keep", **given)

    assert created[2] == {"run_id": kept["run_id"], "thread_id": None}
    assert sdk.runs.join(kept["thread_id"], kept["run_id"])["log"] == ["echo hi"]
    assert sdk.threads.get_state(kept["thread_id"])["values"]["log"] == ["echo hi"]
    for gone in created[:2]:
        with pytest.raises(errors.NotFoundError):
            sdk.threads.get(gone["thread_id"])


# 10. Signs of life


def test_10_signs_of_life_before_the_run_begins(live: RunningServer, aside: ThreadPoolExecutor) -> None:
    def first_bytes(route: str) -> bytes:
        with httpx.Client(base_url=live.url, headers={"x-api-key": live.api_key}, timeout=60) as client:
            thread = client.post("/threads", json={}).json()["thread_id"]
            body = {"assistant_id": "echo", "after_seconds": FAR_AWAY}
            with client.stream("POST", f"/threads/{thread}/runs/{route}", json=body) as answer:
                return next(answer.iter_raw())

    assert list(aside.map(first_bytes, ["stream", "wait"])) == [b": heartbeat\r\n\r\n", b"\n"]
