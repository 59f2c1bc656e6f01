"""/threads."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from runs.models import Thread
from tests.support.api import Api, assert_problem
from tests.support.factories import finish, make_run, running


def create(api: Api, **body: object) -> dict[str, object]:
    """A thread, as the API shows it."""
    response = api.post("/threads", body)
    assert response.status_code == 200
    found: dict[str, object] = response.json()
    return found


def test_a_new_thread_is_idle_and_empty(api: Api) -> None:
    thread = create(api, metadata={"topic": "whales"})

    row = Thread.objects.get(pk=UUID(str(thread["thread_id"])))
    assert row.owner == api.user
    assert thread == {
        "thread_id": str(row.pk),
        "created_at": row.created_at.isoformat(timespec="microseconds"),
        "updated_at": row.updated_at.isoformat(timespec="microseconds"),
        "state_updated_at": row.state_updated_at.isoformat(timespec="microseconds"),
        "metadata": {"topic": "whales"},
        "status": "idle",
        "config": {"configurable": {}},
        "values": None,
        "error": None,
        "interrupts": {},
    }


def test_times_are_utc_with_microseconds_and_offset(api: Api) -> None:
    thread = create(api)
    for name in ("created_at", "updated_at", "state_updated_at"):
        assert str(thread[name]).endswith("+00:00")
        assert len(str(thread[name])) == len("2026-11-22T12:38:44.882043+00:00")


def test_the_caller_may_choose_the_id_in_any_spelling(api: Api) -> None:
    thread_id = uuid4()
    assert create(api, thread_id=thread_id.hex.upper())["thread_id"] == str(thread_id)


def test_an_id_that_is_taken_is_a_conflict_unless_do_nothing(api: Api) -> None:
    thread_id = str(uuid4())
    create(api, thread_id=thread_id, metadata={"first": True})

    assert_problem(api.post("/threads", {"thread_id": thread_id}), 409, "thread_exists", thread_id)
    again = create(api, thread_id=thread_id, metadata={"first": False}, if_exists="do_nothing")
    assert again["metadata"] == {"first": True}


def test_a_strangers_id_is_taken_too(api: Api, stranger: Api) -> None:
    thread_id = str(create(stranger)["thread_id"])
    response = api.post("/threads", {"thread_id": thread_id, "if_exists": "do_nothing"})
    assert_problem(response, 409, "thread_exists")
    assert Thread.objects.get(pk=thread_id).owner == stranger.user


def test_nulls_are_as_good_as_absent(api: Api) -> None:
    thread = create(api, thread_id=None, metadata=None, if_exists=None, ttl=None, supersteps=None)
    assert thread["metadata"] == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"thread_id": "abc"}, ["thread_id", "valid UUID"]),
        ({"thread_id": 7}, ["thread_id"]),
        ({"metadata": []}, ["metadata", "object"]),
        ({"metadata": "x"}, ["metadata", "object"]),
        ({"if_exists": "maybe"}, ["if_exists", "maybe"]),
        ({"ttl": {"ttl": 5}}, ["ttl", "time to live"]),
        ({"supersteps": [{"updates": []}]}, ["supersteps[0].updates", "at least 1"]),
        ({"colour": "red", "size": 3}, ["colour", "size", "not known"]),
        ([], ["Must be a JSON object"]),
        ("text", ["Must be a JSON object"]),
        (7, ["Must be a JSON object"]),
    ],
)
def test_a_bad_create_is_refused_by_name_and_leaves_nothing(api: Api, body: object, words: list[str]) -> None:
    assert_problem(api.post("/threads", json.dumps(body)), 422, "invalid_request", *words)
    assert not Thread.objects.exists()


def test_reading_a_thread(api: Api) -> None:
    thread = create(api)
    assert api.get(f"/threads/{thread['thread_id']}").json() == thread
    assert api.get(f"/threads/{thread['thread_id']}?include=ttl").json() == thread


def test_a_finished_run_shows_in_its_thread(api: Api) -> None:
    thread = Thread.objects.get(pk=str(create(api)["thread_id"]))
    finish(running(thread), answer=42)

    shown = api.get(f"/threads/{thread.pk}").json()
    assert (shown["status"], shown["values"], shown["error"]) == ("idle", {"answer": 42}, None)
    assert shown["metadata"]["graph_id"] == "echo"


def test_patch_merges_metadata_shallowly_and_keeps_null(api: Api) -> None:
    thread = create(api, metadata={"a": {"x": 1}, "b": 2})
    response = api.patch(f"/threads/{thread['thread_id']}", {"metadata": {"a": {"y": 1}, "c": None}})

    shown = response.json()
    assert shown["metadata"] == {"a": {"y": 1}, "b": 2, "c": None}
    assert shown["updated_at"] > str(thread["updated_at"])
    assert shown["state_updated_at"] == thread["state_updated_at"]


def test_patch_may_return_nothing(api: Api) -> None:
    thread = create(api)
    path = f"/threads/{thread['thread_id']}"
    api.checks_shape = False
    response = api.patch(path, {"metadata": {"a": 1}}, prefer="return=minimal")
    assert (response.status_code, response.content) == (204, b"")
    assert api.get(path).json()["metadata"] == {"a": 1}


def test_a_deleted_thread_is_gone_with_its_runs(api: Api) -> None:
    thread = Thread.objects.get(pk=str(create(api)["thread_id"]))
    run = make_run(thread)

    response = api.delete(f"/threads/{thread.pk}")
    assert (response.status_code, response.content) == (204, b"")
    assert_problem(api.get(f"/threads/{thread.pk}"), 404, "thread_not_found")
    assert_problem(api.get(f"/threads/{thread.pk}/runs/{run.pk}"), 404, "run_not_found")
    assert_problem(api.delete(f"/threads/{thread.pk}"), 404, "thread_not_found")
    run.refresh_from_db()
    assert (run.status, run.cancelled_by) == ("interrupted", f"api-key:{api.key[:8]}")


def test_the_id_of_a_thread_that_is_being_deleted_cannot_be_used_yet(api: Api) -> None:
    thread = Thread.objects.get(pk=str(create(api)["thread_id"]))
    running(thread)
    assert api.delete(f"/threads/{thread.pk}").status_code == 204
    assert_problem(api.post("/threads", {"thread_id": str(thread.pk)}), 409, "thread_deleting")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_thread(api: Api, method: str) -> None:
    body: Any = {"metadata": {}} if method == "PATCH" else None
    assert_problem(api.request(method, f"/threads/{uuid4()}", body), 404, "thread_not_found")


@pytest.mark.parametrize("bad", ["abc", "123", "{7c9e6679-7425-40de-944b-e07fc1f90ae}", "%00", "7" * 400])
def test_a_bad_id_says_so(api: Api, bad: str) -> None:
    assert_problem(api.get(f"/threads/{bad}"), 422, "invalid_request", "Invalid thread ID: must be a UUID")
