"""What an assistant keeps beyond its return does not change its result, and is not taken from those who share it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runs.models import Run
from runs.states import RunStatus
from tests.support.assistants import ANSWER
from tests.support.factories import make_run, make_thread, stored
from tests.support.ledger import entries
from tests.support.stage import head_values, wait_until_settled
from tests.support.worker import WorkerProcess

RUNS = {"LOOP_PROCESSES": 1, "GRACE_SECONDS": 2.0, "INTERRUPT_EVERY_SECONDS": 0.2, "THREAD_LEAVE_SECONDS": 0.5}

pytestmark = pytest.mark.usefixtures("db", "intact", "swept")


@pytest.fixture(scope="module")
def worker(db: None, request: pytest.FixtureRequest) -> Iterator[WorkerProcess]:
    """The only worker, with this pool."""
    with WorkerProcess(pool=request.param, concurrency=4, runs=RUNS) as worker:
        yield worker


class _Answers(BaseHTTPRequestHandler):
    """Keeps its connections."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Of a server that is not ours."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def outcome(run: Run) -> tuple[str, int, object]:
    """How it has ended, in which attempt, and what the thread holds."""
    wait_until_settled(run.pk)
    found = stored(run)
    return found.status, found.attempt, head_values(run)


@pytest.mark.parametrize("name", ["keeps_a_failing_generator", "keeps_a_slow_generator", "starting_threads"])
@pytest.mark.parametrize("worker", ["prefork", "async"], indirect=True)
def test_what_it_returned_is_the_result(worker: WorkerProcess, name: str) -> None:
    run = make_run(make_thread(), assistant=name, timeout_seconds=30)
    assert outcome(run) == (RunStatus.SUCCESS, 1, ANSWER)
    assert len(entries(run.pk, "start")) == 1


@pytest.mark.parametrize("name", ["asking_redis", "asking_httpx"])
@pytest.mark.parametrize("worker", ["async"], indirect=True)
def test_a_shared_client_outlives_who_opened_its_connection(worker: WorkerProcess, url: str, name: str) -> None:
    for _ in range(3):
        run = make_run(make_thread(), assistant=name, timeout_seconds=30, kwargs={"input": {"url": url}})
        assert outcome(run) == (RunStatus.SUCCESS, 1, ANSWER)
