"""Keys and sessions."""

import pytest
from django.test import Client

from runs.models import ApiKey, Thread
from tests.support.api import Api, assert_problem


@pytest.mark.parametrize(
    "header", [("x-api-key", "{key}"), ("Authorization", "Bearer {key}"), ("Authorization", "bearer  {key} ")]
)
def test_a_key_in_either_header(api: Api, header: tuple[str, str]) -> None:
    name, value = header
    response = Client().post("/threads", "{}", content_type="text/plain", headers={name: value.format(key=api.key)})
    assert response.status_code == 200
    assert Thread.objects.get().owner == api.user


def test_another_scheme_is_no_key(api: Api) -> None:
    response = Client().post("/threads", "{}", content_type="text/plain", headers={"Authorization": f"Basic {api.key}"})
    assert_problem(response, 401, "not_authenticated")


def test_a_wrong_key_is_not_forgiven_because_of_a_session(api: Api) -> None:
    client = Client()
    client.force_login(api.user)
    assert_problem(client.get("/threads/x", headers={"x-api-key": "wrong"}), 401, "authentication_failed")


@pytest.mark.parametrize("key", ["", " ", "ключ", "a\x00b", "x" * 10_000])
def test_a_strange_key_is_a_wrong_key(key: str) -> None:
    response = Client().post("/threads", "{}", content_type="text/plain", headers={"x-api-key": key})
    assert response.status_code == 401


def test_a_key_needs_no_csrf_token(api: Api) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/threads", "{}", content_type="text/plain", headers={"x-api-key": api.key})
    assert response.status_code == 200


def test_a_session_needs_a_csrf_token_to_change_anything(api: Api) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(api.user)
    refused = client.post("/threads", "{}", content_type="application/json")
    assert_problem(refused, 403, "permission_denied", "CSRF")
    assert not Thread.objects.exists()

    client.cookies["csrftoken"] = token = "t" * 32
    accepted = client.post("/threads", "{}", content_type="application/json", headers={"X-CSRFToken": token})
    assert accepted.status_code == 200
    assert client.get(f"/threads/{accepted.json()['thread_id']}").status_code == 200


def test_a_session_is_named_after_its_user(api: Api) -> None:
    client = Client()
    client.force_login(api.user)
    thread = client.post("/threads", "{}", content_type="application/json").json()
    path = f"/threads/{thread['thread_id']}/runs"
    run = client.post(path, '{"assistant_id": "echo"}', content_type="application/json").json()
    client.post(f"{path}/{run['run_id']}/cancel", content_type="application/json")
    assert client.get(f"{path}/{run['run_id']}").json()["cancelled_by"] == "user:ada"


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(api: Api) -> None:
    api.post("/threads/count", {})
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    api.post("/threads/count", {})
    assert ApiKey.objects.get().last_used_at == first
