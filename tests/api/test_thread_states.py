"""/threads/{thread_id}/state and /history."""

from typing import Any
from uuid import uuid4

import pytest

from runs.models import Thread
from runs.services.cancel import cancel_run
from runs.states import CancelAction
from tests.support.api import Api, assert_problem
from tests.support.factories import finish, make_actor, make_thread, running, step

EMPTY: dict[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


@pytest.fixture
def thread(api: Api) -> Thread:
    """A thread of the user's."""
    return make_thread(make_actor("ada"))


def test_the_state_of_an_empty_thread(api: Api, thread: Thread) -> None:
    assert api.get(f"/threads/{thread.pk}/state").json() == EMPTY
    assert api.get(f"/threads/{thread.pk}/history").json() == []


def test_the_state_follows_the_steps_of_a_run(api: Api, thread: Thread) -> None:
    run = running(thread)
    first, second = step(run, a=1), step(run, b=2)

    state = api.get(f"/threads/{thread.pk}/state?subgraphs=false").json()
    reference = {"thread_id": str(thread.pk), "checkpoint_ns": ""}
    assert state["values"] == {"a": 1, "b": 2}
    assert state["next"] == ["echo"]
    assert [(task["name"], task["path"]) for task in state["tasks"]] == [("echo", ["__pregel_pull", "echo"])]
    assert state["metadata"]["run_id"] == str(run.pk)
    assert state["checkpoint"] == {"checkpoint_id": str(second.pk), **reference}
    assert state["parent_checkpoint"] == {"checkpoint_id": str(first.pk), **reference}
    assert (state["checkpoint_id"], state["parent_checkpoint_id"]) == (str(second.pk), str(first.pk))


def test_a_former_state_by_path_and_by_body(api: Api, thread: Thread) -> None:
    run = running(thread)
    first, _ = step(run, a=1), finish(run, b=2)

    by_path = api.get(f"/threads/{thread.pk}/state/{first.pk}")
    by_body = api.post(f"/threads/{thread.pk}/state/checkpoint", {"checkpoint": {"checkpoint_id": str(first.pk)}})
    assert by_path.json()["values"] == {"a": 1}
    assert by_body.content == by_path.content
    now = api.post(f"/threads/{thread.pk}/state/checkpoint", {"checkpoint": {}, "subgraphs": False})
    assert now.json()["values"] == {"a": 1, "b": 2}


def test_a_state_that_was_rolled_back_is_gone(api: Api, thread: Thread) -> None:
    run = running(thread)
    lost = step(run, a=1)
    cancel_run(run_id=run.pk, actor=make_actor("ada"), action=CancelAction.ROLLBACK)

    assert api.get(f"/threads/{thread.pk}/state").json() == EMPTY
    assert_problem(api.get(f"/threads/{thread.pk}/state/{lost.pk}"), 404, "checkpoint_not_found")


def test_select_of_a_state(api: Api, thread: Thread) -> None:
    finish(running(thread), a=1, b=2)
    api.checks_shape = False
    path = f"/threads/{thread.pk}"
    assert api.get(f"{path}/state?select=next&select=values.b").json() == {"next": [], "values": {"b": 2}}
    assert api.get(f'{path}/state?select=["values"]').json() == {"values": {"a": 1, "b": 2}}
    assert api.post(f"{path}/history", {"select": ["values.a", "values.zzz"]}).json() == [{"values": {"a": 1}}]


def _history(api: Api, thread: Thread, **body: Any) -> list[str]:
    response = api.post(f"/threads/{thread.pk}/history", body)
    assert response.status_code == 200, response.content
    return [state["checkpoint_id"] for state in response.json()]


def test_history_is_newest_first_and_10_unless_said_otherwise(api: Api, thread: Thread) -> None:
    run = running(thread)
    ids = [str(step(run, n=n).pk) for n in range(12)][::-1]

    assert _history(api, thread) == ids[:10]
    assert _history(api, thread, limit=100) == ids
    assert _history(api, thread, limit=0) == []
    shown = api.get(f"/threads/{thread.pk}/history?limit=3&before={ids[4]}").json()
    assert [state["checkpoint_id"] for state in shown] == ids[5:8]


@pytest.mark.parametrize("form", ["id", "checkpoint", "config"])
def test_history_before_takes_all_forms_that_clients_send(api: Api, thread: Thread, form: str) -> None:
    run = running(thread)
    oldest, newest = str(step(run, n=1).pk), str(step(run, n=2).pk)
    forms = {
        "id": newest,
        "checkpoint": {"checkpoint_id": newest, "checkpoint_ns": "", "thread_id": str(thread.pk)},
        "config": {"configurable": {"checkpoint_id": newest}},
    }
    assert _history(api, thread, before=forms[form]) == [oldest]


def test_history_by_metadata(api: Api, thread: Thread) -> None:
    run = running(thread)
    first, _ = step(run, n=1), step(run, n=2)
    assert _history(api, thread, metadata={"step": 0}) == [str(first.pk)]
    assert _history(api, thread, checkpoint={"checkpoint_ns": ""}, limit=1, metadata={"step": 0}) == [str(first.pk)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"before": "x"}, ["before", "checkpoint"]),
        ({"before": {"configurable": {}}}, ["before"]),
        ({"before": 7}, ["before"]),
        ({"limit": 1001}, ["limit"]),
        ({"metadata": 3}, ["metadata"]),
        ({"checkpoint": {"checkpoint_ns": "a" * 2001}}, ["checkpoint.checkpoint_ns", "2000"]),
        ({"checkpoint": {"checkpoint_id": str(uuid4())}}, ["checkpoint", "before"]),
        ({"checkpoint": {"thread_id": str(uuid4())}}, ["checkpoint.thread_id"]),
        ({"select": ["colour"]}, ["select", "colour"]),
        ({"select": ["values."]}, ["select"]),
        ({"after": "x"}, ["after", "not known"]),
    ],
)
def test_a_bad_history_request_says_what_is_wrong(api: Api, thread: Thread, body: Any, words: list[str]) -> None:
    assert_problem(api.post(f"/threads/{thread.pk}/history", body), 422, "invalid_request", *words)


def test_unknown_threads_and_checkpoints(api: Api, thread: Thread) -> None:
    nobody, nothing = uuid4(), uuid4()
    assert_problem(api.get(f"/threads/{nobody}/state"), 404, "thread_not_found")
    assert_problem(api.get(f"/threads/{nobody}/history"), 404, "thread_not_found")
    assert_problem(api.get(f"/threads/{thread.pk}/state/{nothing}"), 404, "checkpoint_not_found")
    assert_problem(api.post(f"/threads/{thread.pk}/history", {"before": str(nothing)}), 404, "checkpoint_not_found")
    assert_problem(api.get(f"/threads/{thread.pk}/state/abc"), 422, "invalid_request", "Invalid checkpoint ID")
    assert_problem(api.get(f"/threads/{thread.pk}/history?before=abc"), 422, "invalid_request", "before")


def test_a_checkpoint_of_another_thread_is_not_found(api: Api, thread: Thread) -> None:
    other = make_thread(make_actor("ada"))
    elsewhere = step(running(other), a=1)
    assert_problem(api.get(f"/threads/{thread.pk}/state/{elsewhere.pk}"), 404, "checkpoint_not_found")
    body = {"checkpoint": {"checkpoint_id": str(elsewhere.pk), "thread_id": str(other.pk)}}
    assert_problem(api.post(f"/threads/{thread.pk}/state/checkpoint", body), 422, "invalid_request", "another thread")


def test_the_state_is_changed_by_hand(api: Api, thread: Thread) -> None:
    first = api.post(f"/threads/{thread.pk}/state", {"values": {"a": 1}}).json()
    second = api.post(f"/threads/{thread.pk}/state", {"values": {"b": 2}}).json()
    assert second["checkpoint"] == second["configurable"]
    assert second["checkpoint"]["checkpoint_id"] == second["checkpoint_id"]
    state = api.get(f"/threads/{thread.pk}/state").json()
    assert (state["values"], state["checkpoint_id"]) == ({"a": 1, "b": 2}, second["checkpoint_id"])
    assert state["parent_checkpoint_id"] == first["checkpoint_id"]
    assert state["metadata"]["source"] == "update"
    assert state["metadata"]["updated_by"].startswith("api-key:ada")

    for place in ({"checkpoint_id": first["checkpoint_id"]}, {"checkpoint": first["checkpoint"]}):
        api.post(f"/threads/{thread.pk}/state", {"values": {"c": 3}, **place})
        assert api.get(f"/threads/{thread.pk}/state").json()["values"] == {"a": 1, "c": 3}


def test_the_state_is_not_changed_beside_a_run_nor_in_ways_that_only_graphs_know(api: Api, thread: Thread) -> None:
    path = f"/threads/{thread.pk}/state"
    assert_problem(api.post(path, {"values": {}, "as_node": "echo"}), 422, "invalid_request", "as_node", "graphs")
    assert_problem(api.post(path, {"values": [{"a": 1}]}), 422, "invalid_request", "values", "object")
    running(thread)
    assert_problem(api.post(path, {"values": {"a": 1}}), 409, "thread_busy", "in flight")
    assert api.get(path).json() == EMPTY


def test_a_thread_is_copied(api: Api, thread: Thread) -> None:
    finish(running(thread), page=1)
    copy = api.post(f"/threads/{thread.pk}/copy").json()

    assert copy["thread_id"] != str(thread.pk)
    assert (copy["status"], copy["values"]) == ("idle", {"page": 1})
    assert api.get(f"/threads/{copy['thread_id']}/runs").json() == []
    assert_problem(api.post(f"/threads/{uuid4()}/copy"), 404, "thread_not_found")


def test_threads_are_pruned(api: Api, thread: Thread) -> None:
    keep = {"thread_ids": [str(thread.pk)], "strategy": "keep_latest"}
    assert_problem(api.post("/threads/prune", keep), 422, "invalid_request", "strategy")
    assert api.post("/threads/prune", {"thread_ids": [str(thread.pk), str(uuid4())]}).json() == {"pruned_count": 1}
    assert_problem(api.get(f"/threads/{thread.pk}"), 404, "thread_not_found")
