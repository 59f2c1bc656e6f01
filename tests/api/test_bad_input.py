"""Whatever is sent: a problem that says what to change, never a 500, and nothing half-written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.db import DataError, InterfaceError, OperationalError, connection
from django.test import Client
from pytest_django import Settings

from runs.api import runs, threads
from runs.errors import OutcomeUnknown
from runs.models import Thread
from tests.support.api import Api, assert_problem
from tests.support.factories import make_actor, make_run, make_thread


@pytest.fixture
def thread(api: Api) -> Thread:
    """A thread of the user's."""
    return make_thread(make_actor("ada"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"   \n", "it is empty"),
        (b"{", "line 1 column 2"),
        (b'{"a": 1,}', "line 1"),
        (b"{'a': 1}", "line 1"),
        (b'{"input": NaN}', "NaN is not JSON"),
        (b'{"input": -Infinity}', "-Infinity is not JSON"),
        (b'{"input": 1e999}', "body.input: NaN and infinity"),
        (b'{"input": "\xff"}', "utf-8"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        (b"nonsense", "line 1 column 1"),
        (b'{"input": "a\\u0000b"}', "body.input: text must not contain the NUL character"),
        (b'{"input": {"a\\u0000": 1}}', "body.input (key): text must not contain the NUL"),
        (b'{"input": ["x", {"deep": "\\ud800"}]}', "body.input[1].deep: text must not contain half of a surrogate"),
        (b'{"metadata": {"n": 9223372036854775808}}', "body.metadata.n: integers must fit in 64 bits"),
        (b'{"input": ' + b"7" * 5000 + b"}", "Invalid JSON in request body"),
        (b'{"input": ' + b"[" * 101 + b"]" * 101 + b"}", "body: nested deeper than 100 levels"),
        (b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"input": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_json_that_cannot_be_parsed_or_stored(api: Api, thread: Thread, content: bytes, words: str) -> None:
    for path in (f"/threads/{thread.pk}/runs", "/threads"):
        assert_problem(api.post(path, content), 422, "invalid_json", words)
    assert (Thread.objects.count(), thread.runs.count()) == (1, 0)


def test_json_at_the_limits_is_accepted_and_comes_back_unchanged(api: Api, thread: Thread) -> None:
    deep: Any = "bottom"
    for _ in range(98):
        deep = [deep]
    sent = {"deep": deep, "big": 2**63 - 1, "small": -(2**63) + 1, "float": 1.5e-7, "text": "𝄞 ü \u2028", "": {}}
    response = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo", "input": sent})
    assert response.json()["kwargs"]["input"] == sent
    run_id = response.json()["run_id"]
    assert api.get(f"/threads/{thread.pk}/runs/{run_id}").json()["kwargs"]["input"] == sent


def test_a_body_over_the_limit(api: Api, settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_BODY_BYTES": 100}
    fits = {"metadata": {"a": "x" * 50}}
    assert api.post("/threads", fits).status_code == 200
    assert_problem(api.post("/threads", {"metadata": {"a": "x" * 100}}), 413, "body_too_large", "100 bytes")
    assert Thread.objects.count() == 1


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "", "multipart/form-data"],
)
def test_the_content_type_does_not_matter(api: Api, content_type: str) -> None:
    response = api.client.generic(
        "POST", "/threads", b'{"metadata": {"a": 1}}', content_type=content_type, headers={"x-api-key": api.key}
    )
    assert (response.status_code, response.json()["metadata"]) == (200, {"a": 1})


def test_a_real_form_is_not_json(api: Api) -> None:
    response = api.client.post("/threads", {"metadata": "x"}, headers={"x-api-key": api.key})
    assert_problem(response, 422, "invalid_json")


def test_a_form_in_a_session_is_not_json_either(api: Api) -> None:
    client = Client()
    client.force_login(api.user)
    assert_problem(client.post("/threads", {"metadata": "x"}), 422, "invalid_json")


def test_duplicate_keys_take_the_last(api: Api) -> None:
    assert api.post("/threads", b'{"metadata": {"a": 1, "a": 2}}').json()["metadata"] == {"a": 2}


def test_what_accept_says_does_not_matter(api: Api) -> None:
    assert api.get("/ok", accept="image/png").json()["ok"] is True


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_database_that_is_away_is_503_with_retry_after(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(threads, "create_thread", fail)
    response = api.post("/threads", {})
    assert_problem(response, 503, "database_unavailable")
    assert int(response["Retry-After"]) > 0


def test_a_value_the_database_refuses_is_422(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise DataError("out of range")

    monkeypatch.setattr(threads, "create_thread", fail)
    assert_problem(api.post("/threads", {}), 422, "invalid_request", "database cannot hold")


def test_an_unknown_outcome_says_where_to_look(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    thread_id, run_id = str(uuid4()), str(uuid4())

    def fail(**_: Any) -> None:
        raise OutcomeUnknown(run_id=run_id, thread_id=thread_id)

    monkeypatch.setattr(runs, "create_run", fail)
    response = api.post(f"/threads/{thread_id}/runs", {"assistant_id": "echo"})
    problem = assert_problem(response, 503, "outcome_unknown")
    assert (problem["run_id"], problem["thread_id"]) == (run_id, thread_id)
    assert response["Content-Location"] == f"/threads/{thread_id}/runs/{run_id}"


def test_a_bug_is_a_problem_too_and_tells_nothing_about_itself(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(threads, "create_thread", fail)
    api.client.raise_request_exception = False
    response = api.post("/threads", {}, x_request_id="req-9")
    assert_problem(response, 500, "internal_error")
    assert b"secret" not in response.content
    assert response["X-Request-ID"] == "req-9"


@pytest.mark.parametrize("path", ["/runs", "/runs/batch"])
def test_an_empty_list_asks_for_nothing(api: Api, path: str) -> None:
    """Also of an option that is not supported there."""
    asked = {"assistant_id": "echo", "checkpoint": [], "checkpoint_id": [], "command": [], "webhook": []}
    assert api.post(path, [asked] if path.endswith("batch") else asked).status_code == 200


def test_many_unknown_options_are_named_but_not_all(api: Api) -> None:
    problem = assert_problem(api.post("/threads", {f"option{n}": 1 for n in range(5000)}), 422, "invalid_request")
    assert len(problem["errors"]) == 10
    assert len(json.dumps(problem)) < 3000


@contextmanager
def runs_table_away() -> Iterator[None]:
    """Every statement about runs fails as it does without a server."""

    def ask(execute: Any, sql: str, *arguments: Any) -> Any:
        if '"runs_run"' in sql:
            raise OperationalError("the connection is lost")
        return execute(sql, *arguments)

    with connection.execute_wrapper(ask):
        yield


@pytest.mark.parametrize("path", ["", "/stream", "/join"])
def test_a_run_that_cannot_be_read_is_503_and_not_missing(api: Api, thread: Thread, path: str) -> None:
    run = make_run(thread)
    with runs_table_away():
        one = api.get(f"/threads/{thread.pk}/runs/{run.pk}{path}")
        many = api.get(f"/threads/{thread.pk}/runs")
    for response in (one, many):
        assert_problem(response, 503, "database_unavailable")
        assert int(response["Retry-After"]) > 0
