"""A web process and a worker, nothing by hand: what a client of a run sees, and what becomes of the run."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from runs.models import Thread
from tests.support.api import make_api
from tests.support.assistants import registrations
from tests.support.factories import head_values, make_thread, stored
from tests.support.http import Http, events_of, names_of
from tests.support.ledger import events, open_gate, wait_for_entry, wait_until
from tests.support.server import ServerProcess
from tests.support.stage import wait_until_settled
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.usefixtures("db", "intact"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def web(db: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a web process that has a worker."""
    server = ServerProcess(
        tmp_path_factory.mktemp("web"),
        RUNYARD_ASSISTANTS=registrations(),
        RUNYARD_RUNS_SETTINGS='{"DISCONNECT_GRACE": 0.2}',
    )
    with server, WorkerProcess():
        yield server.url


@pytest.fixture
def http() -> Iterator[Http]:
    """Requests with a key."""
    http = Http(make_api("ada").key)
    yield http
    http.close()


def run_of(response: Any) -> UUID:
    """The run that this answer is about."""
    return UUID(response.headers["content-location"].rpartition("/")[2])


def asked(assistant: str, **options: Any) -> dict[str, Any]:
    """The body of a create."""
    return {"assistant_id": assistant, "on_disconnect": "cancel", **options}


def test_a_stream_is_metadata_the_state_and_the_end(http: Http, web: str) -> None:
    thread = make_thread()
    with http.opened("POST", f"{web}/threads/{thread.pk}/runs/stream", asked("prompt")) as response:
        run_id, shown = run_of(response), events_of(response)
    assert [(event.name, event.data) for event in shown] == [
        ("metadata", {"run_id": str(run_id), "attempt": 1}),
        ("values", {"answer": 42}),
        ("end", None),
    ]
    thread.refresh_from_db()
    assert (stored(thread.runs.get()).status, thread.status) == ("success", "idle")
    assert head_values(thread) == {"answer": 42}
    assert thread.runs.get().finished_at is not None


def test_a_cancel_that_waits_answers_when_the_code_has_stopped(http: Http, web: str) -> None:
    thread = make_thread()
    with http.opened("POST", f"{web}/threads/{thread.pk}/runs/stream", asked("sync_code")) as response:
        run_id = run_of(response)
        wait_for_entry(run_id, "start")
        answer = http.send("POST", f"{web}/threads/{thread.pk}/runs/{run_id}/cancel?wait=1&action=interrupt")
        assert (answer.status_code, events(run_id)) == (204, ["start", "left"])
        assert names_of(response) == ["metadata", "end"]
    assert thread.runs.get().status == "interrupted"
    assert_idle(thread)


def test_a_client_that_leaves_stops_the_code_of_its_run(http: Http, web: str) -> None:
    thread = make_thread()
    with http.opened("POST", f"{web}/threads/{thread.pk}/runs/stream", asked("sync_code")) as response:
        run_id = run_of(response)
        wait_for_entry(run_id, "start")
    run = wait_until_settled(run_id)
    assert (run.status, run.cancelled_by) == ("interrupted", "system/disconnect")
    assert events(run_id) == ["start", "left"]
    assert_idle(thread)


def test_a_client_that_leaves_does_not_stop_a_run_that_is_to_go_on(http: Http, web: str) -> None:
    thread = make_thread()
    body = asked("neighbour", on_disconnect="continue")
    with http.opened("POST", f"{web}/threads/{thread.pk}/runs/stream", body) as response:
        kept = run_of(response)
        wait_for_entry(kept, "start")
    with http.opened("POST", f"{web}/threads/{make_thread().pk}/runs/stream", asked("sync_code")) as response:
        other = run_of(response)
    wait_until(lambda: wait_until_settled(other).status == "interrupted", "the other run to be interrupted")
    assert thread.runs.get().status == "running"
    open_gate(kept)
    assert wait_until_settled(kept).status == "success"


def assert_idle(thread: Thread) -> None:
    """The run left nothing behind, and the next may begin."""
    thread.refresh_from_db()
    assert (thread.status, thread.error, thread.head_id) == ("idle", None, None)
