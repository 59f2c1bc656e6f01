"""What the official Python client raises: each class of error with our words, and what this server does not have."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import errors, get_client, get_sync_client

from project.local.running import RunningServer
from tests.contract.conftest import Gates
from tests.support.server import ServerProcess

pytestmark = pytest.mark.timeout(180)


def refused(kind: type[errors.APIStatusError], call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The status, the code and the message of the error that this call raises."""
    with pytest.raises(kind) as caught:
        list(call(*args, **options) or ())
    error = caught.value
    assert type(error) is kind
    assert error.request_id
    return error.status_code, error.code, error.message


def test_a_bad_request(sdk: Any, thread_id: str) -> None:
    both = {"config": {"configurable": {"a": 1}}, "context": {"b": 1}}
    said = (400, "contradictory_options", "Cannot specify both config.configurable and context. Prefer context.")

    assert refused(errors.BadRequestError, sdk.runs.create, thread_id, "steps", **both) == said
    assert refused(errors.BadRequestError, sdk.runs.stream, thread_id, "steps", **both) == said


def test_somebody_unknown(connect: Callable[..., Any]) -> None:
    stranger = connect(api_key="not a key")
    said = (401, "authentication_failed", "This API key is not known, or it has been revoked.")

    assert refused(errors.AuthenticationError, stranger.threads.create) == said
    assert refused(errors.AuthenticationError, stranger.runs.stream, None, "steps") == said


def test_a_session_of_a_browser_without_its_token(connect: Callable[..., Any], live: RunningServer) -> None:
    with httpx.Client(base_url=live.url) as browser:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get("/admin/login/").text)
        assert token is not None
        password = live.home.values()["RUNYARD_ADMIN_PASSWORD"]
        form = {"username": "operator", "password": password, "csrfmiddlewaretoken": token[1]}
        assert browser.post("/admin/login/", data=form).status_code == 302
        session = browser.cookies["sessionid"]
    outside = connect(api_key=None, headers={"Cookie": f"sessionid={session}"})

    assert refused(errors.NotFoundError, outside.threads.get, str(uuid4()))[1] == "thread_not_found"  # it may read
    said = (403, "permission_denied", "CSRF Failed: CSRF cookie not set.")
    assert refused(errors.PermissionDeniedError, outside.threads.create) == said


def test_what_is_not_there(sdk: Any, thread_id: str) -> None:
    missing = str(uuid4())
    no_thread = (404, "thread_not_found", "There is no thread with this id.")
    no_run = (404, "run_not_found", "There is no run with this id on this thread.")

    assert refused(errors.NotFoundError, sdk.runs.create, missing, "steps") == no_thread
    assert refused(errors.NotFoundError, sdk.runs.stream, missing, "steps") == no_thread
    assert refused(errors.NotFoundError, sdk.runs.cancel, thread_id, missing) == no_run
    assert refused(errors.NotFoundError, sdk.runs.join_stream, thread_id, missing) == no_run
    with pytest.raises(httpx.HTTPStatusError) as plain:  # the client has no class of its own for waits
        sdk.runs.join(thread_id, missing)
    assert "There is no run with this id on this thread." in plain.value.__notes__[0]


def test_a_conflict(sdk: Any, thread_id: str, gates: Gates) -> None:
    run = sdk.runs.create(thread_id, "steps", input={"count": 1, "gates": str(gates.directory)})
    busy = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."
    ended = f"Run {run['run_id']} has already ended with status 'success' and cannot be cancelled."

    assert refused(errors.ConflictError, sdk.runs.create, thread_id, "steps") == (409, "thread_busy", busy)
    assert refused(errors.ConflictError, sdk.runs.stream, thread_id, "steps") == (409, "thread_busy", busy)
    gates.open(0)
    sdk.runs.join(thread_id, run["run_id"])
    assert refused(errors.ConflictError, sdk.runs.cancel, thread_id, run["run_id"]) == (409, "not_cancellable", ended)


def test_a_run_that_is_gone_has_no_class_of_its_own(sdk: Any, thread_id: str) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    run = sdk.runs.create(thread_id, "steps", input={"count": 1}, headers=headers)
    sdk.runs.delete(thread_id, run["run_id"])
    said = (410, "run_gone", "The run that this Idempotency-Key created has been deleted.")

    again = {"input": {"count": 1}, "headers": headers}
    assert refused(errors.APIStatusError, sdk.runs.create, thread_id, "steps", **again) == said


GRAPHS = "Only graphs have this; 'steps' is a function. Send `input`."
DURABLE = "every step of a function is durable before the next begins."
OPTIONS = [
    ({"command": {"resume": 1}}, "command", GRAPHS),
    ({"interrupt_before": ["a"]}, "interrupt_before", GRAPHS),
    ({"interrupt_after": "*"}, "interrupt_after", GRAPHS),
    ({"webhook": "https://example.com"}, "webhook", "This option is not supported."),
    ({"durability": "exit"}, "durability", DURABLE),
    ({"on_completion": "delete"}, "on_completion", '"delete" is not a valid choice.'),
]


@pytest.mark.parametrize(("options", "field", "reason"), OPTIONS, ids=lambda value: "-".join(value)[:20])
def test_an_option_that_is_not_supported(sdk: Any, thread_id: str, options: Any, field: str, reason: str) -> None:
    said = (422, "invalid_request", f"{field}: {reason}")

    assert refused(errors.UnprocessableEntityError, sdk.runs.create, thread_id, "steps", **options) == said
    assert refused(errors.UnprocessableEntityError, sdk.runs.stream, thread_id, "steps", **options) == said
    assert sdk.runs.list(thread_id) == []


def test_a_strategy_that_is_not_supported(sdk: Any, thread_id: str) -> None:
    reason = "Multitask strategy 'wait' is not supported. Supported: reject, interrupt, rollback, enqueue."
    said = (422, "unsupported_strategy", reason)

    options: Any = {"multitask_strategy": "wait"}
    assert refused(errors.UnprocessableEntityError, sdk.runs.create, thread_id, "steps", **options) == said


def test_a_server_whose_database_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    said = (503, "database_unavailable", "The database did not answer. Try again in a few seconds.")

    with ServerProcess(tmp_path, pool_size=0) as server, get_sync_client(url=server.url, api_key="any") as sdk:
        assert refused(errors.InternalServerError, sdk.threads.create) == said
        assert refused(errors.InternalServerError, sdk.runs.stream, None, "steps") == said


def test_the_other_protocol_is_not_spoken(live: RunningServer) -> None:
    """`threads.stream` starts runs over /threads/{id}/commands; neither client knows before it is used."""

    async def start() -> None:
        client = get_client(url=live.url, api_key=live.api_key)
        async with client, client.threads.stream(assistant_id="steps") as stream:
            await stream.run.start(input={"count": 1})

    with pytest.raises(httpx.HTTPStatusError, match="404 Not Found"):
        asyncio.run(start())
    with (
        get_sync_client(url=live.url, api_key=live.api_key) as client,
        pytest.raises(httpx.HTTPStatusError, match="404 Not Found"),
        client.threads.stream(assistant_id="steps") as stream,
    ):
        stream.run.start(input={"count": 1})
