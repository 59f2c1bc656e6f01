"""A real web process under what a test client cannot do: no database, chunked bodies, clients that hang up."""

import http.client
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runs.models import Run, Thread
from tests.support.api import make_api
from tests.support.factories import leave, make_actor, make_thread, running
from tests.support.ledger import wait_until
from tests.support.server import ServerProcess

TIMEOUT_SECONDS = 20
POOL_SIZE = 4


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One web process for all of these tests."""
    with ServerProcess(tmp_path_factory.mktemp("server"), pool_size=POOL_SIZE) as process:
        yield process


@pytest.fixture
def key(transactional_db: None) -> str:
    """An API key."""
    return make_api("ada").key


def post(server: ServerProcess, path: str, body: str | Iterable[bytes], key: str) -> tuple[int, Any, Any]:
    """Send the body, in chunks if it is no text; return status, headers and JSON."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)) as connection:
        chunked = not isinstance(body, str)
        connection.request("POST", path, body, {"x-api-key": key}, encode_chunked=chunked)
        with closing(connection.getresponse()) as answer:
            return answer.status, answer.headers, json.load(answer)


def test_without_its_database_the_server_says_so_and_lives(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody@/nothing?host={tmp_path}"
    with ServerProcess(tmp_path, pool_size=0, DATABASE_URL=nowhere) as server:
        status, headers, problem = post(server, "/threads", "{}", "any key at all")
        assert (status, problem["code"]) == (503, "database_unavailable")
        assert int(headers["Retry-After"]) > 0
        assert server.answers()


def test_a_chunked_body_is_read(server: ServerProcess, key: str) -> None:
    status, _, thread = post(server, "/threads", [b'{"metadata": ', b'{"a": 1}}'], key)
    assert (status, thread["metadata"]) == (200, {"a": 1})


def test_a_chunked_body_over_the_limit_is_refused(server: ServerProcess, key: str) -> None:
    status, headers, problem = post(server, "/threads", (b" " * 1024 * 1024 for _ in range(5)), key)
    assert (status, problem["code"]) == (413, "body_too_large")
    assert headers["X-Request-ID"]
    assert not Thread.objects.exists()


def test_a_client_that_hangs_up_while_it_waits_leaves_no_trace(server: ServerProcess, key: str) -> None:
    thread_id = uuid4()
    body = json.dumps({"assistant_id": "echo", "if_not_exists": "create"})
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)) as connection:
        connection.request("POST", f"/threads/{thread_id}/runs/wait", body, {"x-api-key": key})
        with closing(connection.getresponse()) as answer:
            assert answer.status == 200
    run = wait_until(Thread.objects.get(pk=thread_id).runs.first, "the run")
    assert run.status == "pending"
    assert server.answers()
    assert "Traceback" not in server.log


def test_those_who_wait_for_an_executor_keep_nobody_out(server: ServerProcess, key: str) -> None:
    """More cancels wait than there are connections; each is accepted at once, and answered in the end."""
    runs = [running(make_thread(make_actor("ada")), assistant="digest") for _ in range(POOL_SIZE + 1)]

    def cancel(run: Run) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)) as connection:
            path = f"/threads/{run.thread_id}/runs/{run.pk}/cancel?wait=1"
            connection.request("POST", path, headers={"x-api-key": key})
            with closing(connection.getresponse()) as answer:
                return answer.status

    cancelled = Run.objects.filter(pk__in=[run.pk for run in runs], status="interrupted", leased=True)
    with ThreadPoolExecutor(len(runs)) as callers:
        answers = [callers.submit(cancel, run) for run in runs]
        wait_until(lambda: cancelled.count() == len(runs), "all of them to be cancelled", TIMEOUT_SECONDS / 2)
        for run in runs:
            leave(run)
        assert [answer.result(TIMEOUT_SECONDS) for answer in answers] == [204] * len(runs)
