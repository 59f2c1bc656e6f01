"""The Idempotency-Key header."""

import pytest

from runs.models import Run, Thread
from tests.support.api import Api, assert_problem
from tests.support.factories import make_actor, make_thread, running


@pytest.fixture
def thread(api: Api) -> Thread:
    """A thread of the user's."""
    return make_thread(make_actor("ada"))


def test_the_same_key_and_body_present_the_same_run(api: Api, thread: Thread) -> None:
    path = f"/threads/{thread.pk}/runs"
    first = api.post(path, {"assistant_id": "echo", "input": 1}, idempotency_key="k1")
    again = api.post(path, '{"input": 1,  "assistant_id": "echo"}', idempotency_key="k1")

    assert again.status_code == 200
    assert again.json() == first.json()
    assert again["Content-Location"] == first["Content-Location"]
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert thread.runs.count() == 1


def test_a_replay_presents_the_run_as_it_is_now_with_what_it_displaced(api: Api, thread: Thread) -> None:
    old = running(thread)
    body = {"assistant_id": "echo", "multitask_strategy": "interrupt"}
    path = f"/threads/{thread.pk}/runs"
    run_id = api.post(path, body, idempotency_key="k1").json()["run_id"]
    api.post(f"{path}/{run_id}/cancel")

    again = api.post(path, body, idempotency_key="k1").json()
    assert (again["run_id"], again["status"], again["displaced"]) == (run_id, "interrupted", [str(old.pk)])


def test_another_body_under_the_same_key_is_refused(api: Api, thread: Thread) -> None:
    path = f"/threads/{thread.pk}/runs"
    api.post(path, {"assistant_id": "echo", "input": 1}, idempotency_key="k1")
    assert_problem(
        api.post(path, {"assistant_id": "echo", "input": 2}, idempotency_key="k1"), 422, "idempotency_key_reused"
    )


def test_a_refused_create_gives_the_key_back(api: Api, thread: Thread) -> None:
    begun = running(thread)
    path, body = f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}
    assert_problem(api.post(path, body, idempotency_key="k1"), 409, "thread_busy")
    api.post(f"{path}/{begun.pk}/cancel")
    accepted = api.post(path, body, idempotency_key="k1")
    assert (accepted.status_code, accepted.headers.get("Idempotency-Replayed")) == (200, None)


def test_a_deleted_run_is_gone_for_its_key_too(api: Api, thread: Thread) -> None:
    path, body = f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}
    run_id = api.post(path, body, idempotency_key="k1").json()["run_id"]
    api.delete(f"{path}/{run_id}")
    assert_problem(api.post(path, body, idempotency_key="k1"), 410, "run_gone")


def test_keys_belong_to_their_owner_and_thread(api: Api, stranger: Api, thread: Thread) -> None:
    theirs, other = make_thread(make_actor("bob")), make_thread(make_actor("ada"))
    body = {"assistant_id": "echo"}
    ids = {
        api.post(f"/threads/{thread.pk}/runs", body, idempotency_key="k1").json()["run_id"],
        api.post(f"/threads/{other.pk}/runs", body, idempotency_key="k1").json()["run_id"],
        stranger.post(f"/threads/{theirs.pk}/runs", body, idempotency_key="k1").json()["run_id"],
    }
    assert len(ids) == 3


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "ключ", "a\x00b"])
def test_a_bad_key_is_refused(api: Api, thread: Thread, key: str) -> None:
    response = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}, idempotency_key=key)
    assert_problem(response, 422, "invalid_request", "Idempotency-Key")
    assert not thread.runs.exists()


def test_a_key_of_255_characters_is_fine(api: Api, thread: Thread) -> None:
    response = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}, idempotency_key="k" * 255)
    assert response.status_code == 200


def test_a_batch_under_one_key_is_made_once(api: Api) -> None:
    body = [{"assistant_id": "echo", "input": number} for number in range(3)]
    first = api.post("/runs/batch", body, idempotency_key="k1")
    again = api.post("/runs/batch", body, idempotency_key="k1")

    assert again.json() == first.json()
    assert (first.headers.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert Run.objects.count() == 3
    assert_problem(api.post("/runs/batch", body[:2], idempotency_key="k1"), 422, "idempotency_key_reused")
    assert_problem(api.post("/runs/batch", body, idempotency_key="k" * 256), 422, "invalid_request")
    assert Run.objects.count() == 3


def test_a_refused_batch_gives_the_key_back(api: Api) -> None:
    known, unknown = {"assistant_id": "echo"}, {"assistant_id": "nobody"}
    assert api.post("/runs/batch", [known, unknown], idempotency_key="k1").status_code == 422
    assert not Run.objects.exists()
    assert api.post("/runs/batch", [known, known], idempotency_key="k1").status_code == 200
