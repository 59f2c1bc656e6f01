"""Joining a run, and creating one and waiting for it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError
from django.test import AsyncClient

from runs.api import wait, waiting
from runs.models import Run, Thread
from runs.services.cancel import cancel_run
from runs.services.results import find_result
from runs.services.retention import remove_deleted_runs
from runs.services.threads import delete_run
from runs.states import CancelAction, RunStatus
from tests.support.api import Api, assert_problem
from tests.support.factories import claim, create, finish, make_actor, make_run, make_thread, running, step

# A wait looks at the rows from other threads, so they must be committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def thread(api: Api) -> Thread:
    """A thread of the user's."""
    return make_thread(make_actor("ada"))


@pytest.fixture(autouse=True)
def _quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats at each look, so that a test need not wait for one."""
    monkeypatch.setattr(wait, "HEARTBEAT_SECONDS", 0.0)


def collect(api: Api, method: str, path: str, body: Any = None, *, after_headers: Callable[[str], Any]) -> Any:
    """Send the request, do something once its headers are there, and return the headers and the whole body."""

    @async_to_sync
    async def scenario() -> tuple[Any, bytes]:
        client = AsyncClient()
        send = getattr(client, method)
        content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = await send(path, headers={"x-api-key": api.key}, **content)
        assert response.status_code == 200, response.content
        chunks = aiter(response.streaming_content)
        first = await anext(chunks)
        await sync_to_async(after_headers)(response["Content-Location"].rpartition("/")[2])
        rest = [chunk async for chunk in chunks]
        return response.headers, b"".join([first, *rest])

    return scenario()


def join(api: Api, run: Run) -> Any:
    """The answer of join for a run that has ended."""
    _, body = collect(api, "get", f"/threads/{run.thread_id}/runs/{run.pk}/join", after_headers=lambda _: None)
    return json.loads(body)


def test_wait_creates_a_run_and_answers_with_its_values_when_it_has_ended(api: Api, thread: Thread) -> None:
    def work(run_id: str) -> None:
        run = Run.objects.get(pk=UUID(run_id))
        assert run.status == "pending"
        finish(claim(run), answer=42)

    headers, body = collect(
        api, "post", f"/threads/{thread.pk}/runs/wait", {"assistant_id": "echo"}, after_headers=work
    )
    run = thread.runs.get()
    assert json.loads(body) == {"answer": 42}
    assert body.startswith(b"\n")
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Location"] == f"/threads/{thread.pk}/runs/{run.pk}"
    assert headers["Location"] == f"/threads/{thread.pk}/runs/{run.pk}/join?cancel_on_disconnect=1"


def test_join_answers_as_soon_as_the_run_is_terminal_though_its_executor_is_still_leaving(
    api: Api, thread: Thread
) -> None:
    run = running(thread)
    step(run, kept=1)

    def stop(_: str) -> None:
        cancel_run(run_id=run.pk, actor=make_actor("ada"))

    headers, body = collect(api, "get", f"/threads/{thread.pk}/runs/{run.pk}/join", after_headers=stop)
    assert json.loads(body) == {"kept": 1}
    assert headers["Location"] == f"/threads/{thread.pk}/runs/{run.pk}/join"
    run.refresh_from_db()
    assert run.is_stopping


def test_join_answers_with_the_runs_own_values_not_the_threads(api: Api, thread: Thread) -> None:
    first = finish(running(thread), a=1)
    finish(running(thread), b=2)
    assert join(api, first) == {"a": 1}


def test_join_of_a_failed_run_tells_the_error_in_the_body(api: Api, thread: Thread) -> None:
    run = finish(running(thread), RunStatus.ERROR)
    finish(running(thread), b=2)
    assert join(api, run) == {"__error__": {"error": "ValueError", "message": "no"}}


def test_join_of_a_rolled_back_run_answers_with_what_it_found(api: Api, thread: Thread) -> None:
    finish(running(thread), before=1)
    run = running(thread)
    step(run, lost=1)
    cancel_run(run_id=run.pk, actor=make_actor("ada"), action=CancelAction.ROLLBACK)
    assert join(api, run) == {"before": 1}


def test_join_of_a_run_that_never_began_answers_with_the_threads_values(api: Api, thread: Thread) -> None:
    run = make_run(thread)
    cancel_run(run_id=run.pk, actor=make_actor("ada"))
    assert join(api, run) == {}
    finish(running(thread), now=1)
    assert join(api, run) == {"now": 1}


def test_a_wait_for_a_run_that_is_deleted_meanwhile_is_served_to_its_end(api: Api, thread: Thread) -> None:
    run = running(thread)
    step(run, kept=1)

    def remove(_: str) -> None:
        delete_run(thread_id=thread.pk, run_id=run.pk, actor=make_actor("ada"))

    _, body = collect(api, "get", f"/threads/{thread.pk}/runs/{run.pk}/join", after_headers=remove)
    assert json.loads(body) == {"kept": 1}
    assert_problem(api.get(f"/threads/{thread.pk}/runs/{run.pk}/join"), 404, "run_not_found")


def test_a_wait_for_a_run_whose_rows_have_gone_ends_with_an_error(api: Api, thread: Thread) -> None:
    run = make_run(thread)

    def remove(_: str) -> None:
        delete_run(thread_id=thread.pk, run_id=run.pk, actor=make_actor("ada"))
        assert remove_deleted_runs() == 1

    _, body = collect(api, "get", f"/threads/{thread.pk}/runs/{run.pk}/join", after_headers=remove)
    assert json.loads(body)["__error__"]["error"] == "RunNotFound"


def test_a_wait_survives_a_database_that_is_away_for_a_moment(
    api: Api, thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(thread)
    asked = iter([OperationalError, OperationalError])
    really = find_result

    def unsure(run_id: UUID) -> dict[str, Any] | None:
        if error := next(asked, None):
            raise error
        return really(run_id)

    monkeypatch.setattr(waiting, "find_result", unsure)
    _, body = collect(
        api,
        "get",
        f"/threads/{thread.pk}/runs/{run.pk}/join",
        after_headers=lambda _: cancel_run(run_id=run.pk, actor=make_actor("ada")),
    )
    assert json.loads(body) == {}
    assert next(asked, None) is None


def test_a_replayed_wait_joins_the_run_that_was_made(api: Api, thread: Thread) -> None:
    path, body = f"/threads/{thread.pk}/runs/wait", {"assistant_id": "echo"}
    first = api.post(path, body, idempotency_key="k1")
    finish(claim(thread.runs.get()), answer=42)
    again = api.post(path, body, idempotency_key="k1")
    assert again["Content-Location"] == first["Content-Location"]
    assert (again["Idempotency-Replayed"], thread.runs.count()) == ("true", 1)


def test_a_wait_that_is_refused_is_refused_before_it_begins(api: Api, thread: Thread) -> None:
    create(thread)
    path = f"/threads/{thread.pk}/runs/wait"
    assert_problem(api.post(path, {"assistant_id": "echo"}), 409, "thread_busy")
    assert_problem(api.post(f"/threads/{uuid4()}/runs/wait", {"assistant_id": "echo"}), 404, "thread_not_found")


def test_join_of_an_unknown_run(api: Api, thread: Thread) -> None:
    run = make_run(make_thread(make_actor("ada")))
    assert_problem(api.get(f"/threads/{thread.pk}/runs/{uuid4()}/join"), 404, "run_not_found")
    assert_problem(api.get(f"/threads/{thread.pk}/runs/{run.pk}/join"), 404, "run_not_found")
    assert_problem(api.get(f"/threads/{thread.pk}/runs/abc/join"), 422, "invalid_request", "Invalid run ID")


def test_join_takes_cancel_on_disconnect_as_a_flag(api: Api, thread: Thread) -> None:
    run = finish(running(thread), a=1)
    path = f"/threads/{thread.pk}/runs/{run.pk}/join"
    for word, query in (
        ("0", ""),
        ("false", ""),
        ("1", "?cancel_on_disconnect=1"),
        ("true", "?cancel_on_disconnect=1"),
    ):
        assert api.get(f"{path}?cancel_on_disconnect={word}")["Location"] == path + query
    assert_problem(api.get(f"{path}?cancel_on_disconnect=x"), 422, "invalid_request", "cancel_on_disconnect")
