"""The official Python client, unmodified, against a real web process. What a worker would do, the tests do."""

import asyncio
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from runs.assistants import registry
from runs.models import Run, Thread
from runs.states import RunStatus
from tests.support.api import Api, make_api
from tests.support.factories import claim, finish, leave, step
from tests.support.fixtures import Outbox, assistants, intact, outbox, registered  # noqa: F401 - fixtures
from tests.support.ledger import wait_until
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from langgraph_sdk.schema import Thread as SdkThread


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One web process for all of these tests. Two connections: whoever waits must not hold one."""
    with ServerProcess(tmp_path_factory.mktemp("server"), pool_size=2) as process:
        yield process


@pytest.fixture(autouse=True)
def world(transactional_db: None, registered: None, outbox: Outbox, intact: None) -> None:  # noqa: F811
    """Committed rows, which the server sees; what the tests themselves would publish stays here."""


@pytest.fixture
def user() -> Api:
    """Somebody with a key."""
    return make_api("ada")


@pytest.fixture
def client(server: ServerProcess, user: Api) -> Iterator[SyncLangGraphClient]:
    """Their client."""
    with get_sync_client(url=server.url, api_key=user.key) as sdk:
        yield sdk


@pytest.fixture
def thread(client: SyncLangGraphClient) -> "SdkThread":
    """A thread of theirs."""
    return client.threads.create()


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """For calls that wait."""
    with ThreadPoolExecutor(10) as pool:
        yield pool


def row(run: Any) -> Run:
    """The row of a run that the client shows."""
    return Run.objects.get(pk=UUID(run["run_id"]))


def the_run_of(thread: "SdkThread") -> Run:
    """The thread's run, once it has been accepted."""
    runs = Run.objects.filter(thread_id=thread["thread_id"])
    return wait_until(runs.first, "the run to be accepted")


# Threads


def test_create_get_update_and_delete_a_thread(client: SyncLangGraphClient) -> None:
    thread_id = str(uuid4())
    created = client.threads.create(thread_id=thread_id, metadata={"topic": "whales"}, if_exists="raise")
    assert (created["thread_id"], created["status"]) == (thread_id, "idle")
    assert client.threads.create(thread_id=thread_id, metadata={"topic": "x"}, if_exists="do_nothing") == created
    with pytest.raises(ConflictError, match="already exists"):
        client.threads.create(thread_id=thread_id)

    assert client.threads.update(thread_id, metadata={"depth": 3})["metadata"] == {"topic": "whales", "depth": 3}
    assert client.threads.update(thread_id, metadata={"depth": 4}, return_minimal=True) is None
    assert client.threads.get(thread_id)["metadata"] == {"topic": "whales", "depth": 4}
    client.threads.delete(thread_id)
    with pytest.raises(NotFoundError):
        client.threads.get(thread_id)


def test_search_and_count_threads(client: SyncLangGraphClient) -> None:
    first = client.threads.create(metadata={"n": 1})
    second = client.threads.create(metadata={"n": 2})
    ids = [found["thread_id"] for found in client.threads.search(sort_by="created_at", sort_order="asc")]
    assert ids == [first["thread_id"], second["thread_id"]]
    found: Any = client.threads.search(metadata={"n": 2}, status="idle", limit=5, select=["thread_id"])
    assert found == [{"thread_id": second["thread_id"]}]
    extracted = client.threads.search(ids=[first["thread_id"]], extract={"number": "metadata.n"})
    assert extracted[0]["extracted"] == {"number": 1}
    assert client.threads.count() == 2
    assert client.threads.count(metadata={"n": 1}) == 1


def test_state_and_history(client: SyncLangGraphClient, thread: "SdkThread") -> None:
    thread_id = thread["thread_id"]
    assert client.threads.get_state(thread_id)["values"] == {}
    attempt = claim(row(client.runs.create(thread_id, "echo")))
    first, _ = step(attempt, a=1), finish(attempt, b=2)

    assert client.threads.get_state(thread_id)["values"] == {"a": 1, "b": 2}
    assert client.threads.get_state(thread_id, checkpoint_id=str(first.pk))["values"] == {"a": 1}
    by_object: Any = {"checkpoint_id": str(first.pk), "thread_id": thread_id, "checkpoint_ns": ""}
    assert client.threads.get_state(thread_id, checkpoint=by_object)["values"] == {"a": 1}
    assert [state["values"] for state in client.threads.get_history(thread_id)] == [{"a": 1, "b": 2}, {"a": 1}]
    head = client.threads.get_state(thread_id)["checkpoint"]
    for before in (head["checkpoint_id"], head, {"configurable": head}):
        earlier: Any = before
        assert [state["values"] for state in client.threads.get_history(thread_id, before=earlier)] == [{"a": 1}]


# Runs


def test_create_get_and_list_runs(client: SyncLangGraphClient, thread: "SdkThread") -> None:
    seen: list[Any] = []
    run = client.runs.create(
        thread["thread_id"],
        "echo",
        input={"text": "hi"},
        metadata={"m": 1},
        config={"tags": ["x"], "recursion_limit": 7, "configurable": {"a": 1}},
        stream_mode=["values", "custom"],
        multitask_strategy="enqueue",
        on_run_created=seen.append,
    )
    assert seen == [{"run_id": run["run_id"], "thread_id": thread["thread_id"]}]
    shown: Any = run
    assert (shown["status"], shown["metadata"]["m"]) == ("pending", 1)
    assert shown["kwargs"]["stream_mode"] == ["values", "custom"]
    assert client.runs.get(thread["thread_id"], run["run_id"])["run_id"] == run["run_id"]
    assert client.threads.get(thread["thread_id"])["status"] == "busy"

    second = client.runs.create(thread["thread_id"], "echo", multitask_strategy="enqueue")
    listed: Any = client.runs.list(thread["thread_id"], limit=5, offset=0, status="pending", select=["run_id"])
    assert listed == [{"run_id": second["run_id"]}, {"run_id": run["run_id"]}]


def test_refusals_are_the_clients_own_exceptions(
    client: SyncLangGraphClient, server: ServerProcess, thread: "SdkThread"
) -> None:
    thread_id = thread["thread_id"]
    client.runs.create(thread_id, "echo")
    with pytest.raises(ConflictError, match="multitask strategy"):
        client.runs.create(thread_id, "echo", multitask_strategy="reject")
    with pytest.raises(UnprocessableEntityError, match="Invalid assistant"):
        client.runs.create(thread_id, "nobody")
    with pytest.raises(UnprocessableEntityError, match="webhook"):
        client.runs.create(thread_id, "echo", webhook="https://example.com")
    with pytest.raises(BadRequestError, match="context"):
        client.runs.create(thread_id, "echo", config={"configurable": {"a": 1}}, context={"b": 1})
    with pytest.raises(NotFoundError) as missing:
        client.runs.create(str(uuid4()), "echo")
    assert missing.value.code == "thread_not_found"
    assert missing.value.request_id
    with get_sync_client(url=server.url, api_key="wrong") as nobody, pytest.raises(AuthenticationError):
        nobody.threads.search()


def test_cancel(client: SyncLangGraphClient, thread: "SdkThread", aside: ThreadPoolExecutor) -> None:
    thread_id = thread["thread_id"]
    run = client.runs.create(thread_id, "echo")
    attempt = claim(row(run))
    client.runs.cancel(thread_id, run["run_id"])
    client.runs.cancel(thread_id, run["run_id"])
    assert client.runs.get(thread_id, run["run_id"])["status"] == "interrupted"

    waiting = aside.submit(client.runs.cancel, thread_id, run["run_id"], wait=True)
    leave(attempt)
    waiting.result(timeout=20)
    assert row(run).is_settled


def test_a_finished_run_cannot_be_cancelled(client: SyncLangGraphClient, thread: "SdkThread") -> None:
    run = client.runs.create(thread["thread_id"], "echo")
    finish(claim(row(run)))
    with pytest.raises(ConflictError) as refused:
        client.runs.cancel(thread["thread_id"], run["run_id"])
    assert refused.value.code == "not_cancellable"
    body: Any = refused.value.body
    assert body["run_status"] == "success"


def test_cancel_many(client: SyncLangGraphClient, thread: "SdkThread") -> None:
    thread_id = thread["thread_id"]
    ids = [client.runs.create(thread_id, "echo", multitask_strategy="enqueue")["run_id"] for _ in range(3)]
    client.runs.cancel_many(thread_id=thread_id, run_ids=ids[:2])
    client.runs.cancel_many(status="all", action="rollback")
    assert {run["status"] for run in client.runs.list(thread_id)} == {"interrupted"}
    with pytest.raises(NotFoundError, match="No runs found to cancel"):
        client.runs.cancel_many(status="all")


def test_delete_a_run(client: SyncLangGraphClient, thread: "SdkThread") -> None:
    run = client.runs.create(thread["thread_id"], "echo")
    client.runs.delete(thread["thread_id"], run["run_id"])
    with pytest.raises(NotFoundError):
        client.runs.get(thread["thread_id"], run["run_id"])
    assert client.threads.get(thread["thread_id"])["status"] == "idle"


# Waiting


def test_wait(client: SyncLangGraphClient, thread: "SdkThread", aside: ThreadPoolExecutor) -> None:
    seen: list[Any] = []
    waiting = aside.submit(client.runs.wait, thread["thread_id"], "echo", input={}, on_run_created=seen.append)
    run = the_run_of(thread)
    finish(claim(run), answer=42)
    assert waiting.result(timeout=20) == {"answer": 42}
    assert seen == [{"run_id": str(run.pk), "thread_id": thread["thread_id"]}]


def test_wait_for_a_run_that_fails_raises(
    client: SyncLangGraphClient, thread: "SdkThread", aside: ThreadPoolExecutor
) -> None:
    waiting: Future[Any] = aside.submit(client.runs.wait, thread["thread_id"], "echo")
    finish(claim(the_run_of(thread)), RunStatus.ERROR)
    with pytest.raises(Exception, match="ValueError: no"):
        waiting.result(timeout=20)


def test_more_clients_join_than_the_server_has_connections(
    client: SyncLangGraphClient, thread: "SdkThread", aside: ThreadPoolExecutor
) -> None:
    run = client.runs.create(thread["thread_id"], "echo")
    attempt = claim(row(run))
    joining = [aside.submit(client.runs.join, thread["thread_id"], run["run_id"]) for _ in range(8)]
    for _ in range(20):
        assert client.runs.get(thread["thread_id"], run["run_id"])["status"] == "running"
    finish(attempt, answer=42)
    assert [answer.result(timeout=20) for answer in joining] == [{"answer": 42}] * 8


def test_more_clients_watch_than_the_server_has_connections(
    client: SyncLangGraphClient, thread: "SdkThread", aside: ThreadPoolExecutor
) -> None:
    thread_id, run_id = thread["thread_id"], client.runs.create(thread["thread_id"], "echo")["run_id"]
    attempt = claim(Run.objects.get(pk=UUID(run_id)))
    with ExitStack() as watched:
        for _ in range(6):
            stream = client.http.client.stream("GET", f"/threads/{thread_id}/runs/{run_id}/stream")
            assert watched.enter_context(stream).status_code == 200
        stopping = [aside.submit(client.runs.cancel, thread_id, run_id, wait=True) for _ in range(6)]
        wait_until(lambda: client.runs.get(thread_id, run_id)["status"] == "interrupted", "the cancel to be accepted")
        for _ in range(20):
            assert client.runs.get(thread_id, run_id)["stopping"] is True  # type: ignore[typeddict-item] # ours
        leave(attempt)
        assert [answer.result(timeout=20) for answer in stopping] == [None] * 6


def test_join_of_an_unknown_run(client: SyncLangGraphClient, thread: "SdkThread") -> None:
    with pytest.raises(Exception, match="404"):
        client.runs.join(thread["thread_id"], str(uuid4()))


def test_wait_survives_the_death_of_the_web_process(
    user: Api, tmp_path_factory: pytest.TempPathFactory, aside: ThreadPoolExecutor
) -> None:
    with (
        ServerProcess(tmp_path_factory.mktemp("mortal")) as mortal,
        get_sync_client(url=mortal.url, api_key=user.key) as client,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # the client says that it reconnects
        thread = client.threads.create()
        began: Future[Any] = Future()
        waiting = aside.submit(client.runs.wait, thread["thread_id"], "echo", on_run_created=began.set_result)
        began.result(timeout=20)
        mortal.kill()
        mortal.start()
        finish(claim(the_run_of(thread)), answer=42)
        assert waiting.result(timeout=30) == {"answer": 42}


# Assistants, and the other client


def test_assistants(client: SyncLangGraphClient) -> None:
    echo_id = str(registry.assistant_id("echo"))
    assert client.assistants.get(echo_id)["graph_id"] == "echo"
    assert [found["name"] for found in client.assistants.search(graph_id="echo")] == ["echo"]
    assert client.assistants.count(graph_id="echo") == 1


def test_the_asynchronous_client(server: ServerProcess, user: Api) -> None:
    async def scenario() -> Any:
        async with get_client(url=server.url, api_key=user.key) as client:
            thread = await client.threads.create()
            waiting = asyncio.create_task(client.runs.wait(thread["thread_id"], "echo"))
            await asyncio.to_thread(_finish_the_only_run)
            answer = await waiting
            await client.threads.delete(thread["thread_id"])
            return answer

    assert asyncio.run(scenario()) == {"answer": 42}
    assert not Thread.objects.filter(deleted_at=None).exists()


def _finish_the_only_run() -> None:
    try:
        finish(claim(wait_until(Run.objects.first, "the run to be accepted")), answer=42)
    finally:
        connection.close()
