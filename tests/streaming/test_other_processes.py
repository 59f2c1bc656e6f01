"""A run whose creator, viewers, cancellers and waiters talk to different web processes, one of which may be dead."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import psutil
import pytest

from runs.models import Run
from runs.states import RunStatus
from tests.support.api import make_api
from tests.support.factories import bury, claim, finish, leave, make_thread, step, stored
from tests.support.handwritten import end, put, trim, wipe
from tests.support.http import Http, events_of, names_of
from tests.support.ledger import wait_until
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.usefixtures("db", "intact"), pytest.mark.timeout(300)]

RUNS = json.dumps({"CANCEL_WAIT_SECONDS": 0.5, "DISCONNECT_GRACE": 0.2})


@pytest.fixture(scope="module")
def key(db: None) -> str:
    """An API key."""
    return make_api("ada").key


@pytest.fixture
def http(key: str) -> Iterator[Http]:
    """Its owner's requests."""
    http = Http(key)
    yield http
    http.close()


@pytest.fixture(scope="module")
def webs(db: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Two web processes that wait half a second for an executor to leave, and a fifth of one for a client."""
    with ExitStack() as stack:
        directories = [tmp_path_factory.mktemp(name) for name in ("here", "there")]
        yield [stack.enter_context(ServerProcess(each, RUNYARD_RUNS_SETTINGS=RUNS)) for each in directories]


@pytest.fixture
def here(webs: list[ServerProcess]) -> str:
    """The address of one."""
    return webs[0].url


@pytest.fixture
def there(webs: list[ServerProcess]) -> str:
    """The address of the other."""
    return webs[1].url


def create(http: Http, web: str, **options: Any) -> Run:
    """A run that this process has accepted, on a thread of its own, executing."""
    answer = http.send("POST", f"{web}/threads/{make_thread().pk}/runs", {"assistant_id": "echo", **options})
    assert answer.status_code == 200, answer.text
    return claim(Run.objects.get(pk=UUID(answer.json()["run_id"])))


def path(run: Run, rest: str = "") -> str:
    """The path of something about the run."""
    return f"/threads/{run.thread_id}/runs/{run.pk}{rest}"


def test_a_cancel_through_another_process_is_accepted_and_ends_the_streams_of_all(
    http: Http, here: str, there: str
) -> None:
    run = create(http, here)
    put(run, "1-0")
    with http.opened("GET", here + path(run, "/stream")) as watching:
        assert http.send("POST", there + path(run, "/cancel")).status_code == 202
        assert names_of(watching) == ["custom", "end"]
    assert (stored(run).status, stored(run).cancelled_by) == ("interrupted", "api-key:ada-----")
    leave(run)


def test_a_cancel_that_waits_through_another_process_answers_when_the_executor_has_left(
    http: Http, here: str, there: str
) -> None:
    run = create(http, here)
    assert http.send("POST", there + path(run, "/cancel?wait=1")).status_code == 202
    assert stored(run).is_stopping
    leave(run)
    assert http.send("POST", there + path(run, "/cancel?wait=1")).status_code == 204


def test_a_stop_on_the_stream_shows_what_is_left_of_it(http: Http, here: str, there: str) -> None:
    run = create(http, here)
    put(run, "1-0", "1-1", "1-2")
    with http.opened("POST", there + path(run, "/stream"), Last_Event_ID="1-0") as tail:
        shown = events_of(tail)
    assert [(event.name, event.id) for event in shown[:-1]] == [("custom", "1-1"), ("custom", "1-2")]
    assert shown[-1].name == "end"
    leave(run)


def test_stopping_twice_on_the_stream_is_no_conflict(http: Http, here: str, there: str) -> None:
    run = create(http, here)
    for web in (here, there, here):
        with http.opened("POST", web + path(run, "/stream?action=interrupt")) as tail:
            assert names_of(tail) == ["end"]
    leave(run)
    with http.opened("POST", there + path(run, "/stream?action=interrupt")) as tail:
        assert names_of(tail) == ["end"]


def test_a_stop_on_the_stream_that_waits_says_whether_the_executor_has_left(http: Http, here: str, there: str) -> None:
    run = create(http, here)
    assert http.send("POST", there + path(run, "/stream?wait=1")).status_code == 202
    leave(run)
    assert http.send("POST", there + path(run, "/stream?wait=1")).status_code == 204


@pytest.mark.parametrize("what", ["/cancel", "/stream"])
def test_a_run_of_a_worker_that_is_lost_is_cancelled_at_once(http: Http, here: str, there: str, what: str) -> None:
    run = create(http, here)
    worker = stored(run).worker
    assert worker is not None
    bury(worker)
    answer = http.send("POST", there + path(run, what))
    assert (answer.status_code, names_of(answer)) == ((202, []) if what == "/cancel" else (200, ["end"]))
    assert http.send("POST", there + path(run, f"{what}?wait=1")).status_code == 202
    assert stored(run).status == RunStatus.INTERRUPTED
    leave(run)


def test_a_run_outlives_the_process_that_has_accepted_it(http: Http, there: str, key: str, tmp_path: Any) -> None:
    """It is read, watched and cancelled through any other."""
    with ServerProcess(tmp_path, RUNYARD_RUNS_SETTINGS=RUNS) as mortal:
        run = create(http, mortal.url)
        mortal.kill()
    assert http.send("GET", there + path(run)).json()["status"] == "running"
    put(run, "1-0")
    with http.opened("GET", there + path(run, "/stream")) as watching:
        assert http.send("POST", there + path(run, "/cancel")).status_code == 202
        assert names_of(watching) == ["custom", "end"]
    leave(run)


def test_only_the_creators_leaving_cancels_a_run(http: Http, here: str, there: str) -> None:
    """A viewer's does not; that of one who resumes the creator's connection does."""
    watched = create(http, here, on_disconnect="cancel")
    with http.opened("GET", there + path(watched, "/stream")):
        pass
    with http.opened("GET", there + path(watched, "/join")):
        pass
    abandoned = Run.objects.get(pk=leave_at_once(http, here, "/runs/stream", "cancel"))
    wait_until(lambda: stored(abandoned).is_terminal, "the run whose creator has gone to be interrupted")
    assert stored(watched).status == RunStatus.RUNNING
    resumed = create(http, here, on_disconnect="cancel")
    put(resumed, "1-0")
    with http.opened("GET", there + path(resumed, "/stream"), Last_Event_ID="1-0"):
        pass
    wait_until(lambda: stored(resumed).is_terminal, "the run whose creator has gone for good to be interrupted")
    assert stored(watched).status == RunStatus.RUNNING
    leave(resumed)
    finish(watched)


def test_a_run_is_not_cancelled_while_somebody_watches_it_through_another_process(
    http: Http, here: str, there: str
) -> None:
    body = {"assistant_id": "echo", "on_disconnect": "cancel"}
    with http.opened("POST", f"{here}/threads/{make_thread().pk}/runs/stream", body) as creating:
        run = Run.objects.get(pk=UUID(creating.headers["content-location"].rpartition("/")[2]))
        watching = ExitStack()
        watching.enter_context(http.opened("GET", there + path(run, "/stream")))
    abandoned = Run.objects.get(pk=leave_at_once(http, here, "/runs/stream", "cancel"))
    wait_until(lambda: stored(abandoned).is_terminal, "the run that nobody watches to be interrupted")
    assert stored(run).status == RunStatus.PENDING
    watching.close()
    wait_until(lambda: stored(run).is_terminal, "the run that nobody watches any more to be interrupted")


def leave_at_once(http: Http, web: str, route: str, on_disconnect: str) -> UUID:
    """Create a run over this route, and go away as soon as it is accepted: its id."""
    body = {"assistant_id": "echo", "on_disconnect": on_disconnect}
    with http.opened("POST", f"{web}/threads/{make_thread().pk}{route}", body) as response:
        return UUID(response.headers["content-location"].rpartition("/")[2])


def test_a_waiter_who_leaves_cancels_its_run_or_not_as_was_asked(http: Http, here: str) -> None:
    kept = Run.objects.get(pk=leave_at_once(http, here, "/runs/wait", "continue"))
    cancelled = Run.objects.get(pk=leave_at_once(http, here, "/runs/wait", "cancel"))
    wait_until(lambda: stored(cancelled).is_terminal, "the run whose creator has gone to be interrupted")
    assert (stored(cancelled).status, stored(cancelled).cancelled_by) == ("interrupted", "system/disconnect")
    assert stored(kept).status == RunStatus.PENDING


def test_leaving_after_the_end_changes_nothing(http: Http, here: str) -> None:
    run = create(http, here, on_disconnect="cancel")
    put(run, "1-0")
    with http.opened("GET", here + path(run, "/stream?cancel_on_disconnect=1")):
        end(run, last_frame=0)
    later = Run.objects.get(pk=leave_at_once(http, here, "/runs/wait", "cancel"))
    wait_until(lambda: stored(later).is_terminal, "the run whose creator has gone to be interrupted")
    assert (stored(run).status, stored(run).cancelled_by) == ("success", "")


@pytest.mark.parametrize("loss", ["trimmed", "gone"])
def test_a_wait_does_not_depend_on_the_stream(http: Http, here: str, there: str, loss: str) -> None:
    run = create(http, here)
    step(run, answer=42)
    put(run, "1-0", "1-1")
    with http.opened("GET", there + path(run, "/join")) as waiting:
        trim(run, 1) if loss == "trimmed" else wipe(run)
        end(run, last_frame=1)
        assert json.loads(waiting.read()) == {"answer": 42}
    wipe(run)
    assert http.send("GET", here + path(run, "/join")).json() == {"answer": 42}


def test_an_open_stream_or_wait_holds_no_thread(http: Http, webs: list[ServerProcess]) -> None:
    """The views run in threads; a process with thousands of streams must not have thousands of them."""
    web, pid = webs[0].url, webs[0].pid
    run = create(http, web)
    for _ in range(20):  # whatever threads the process keeps for good
        http.send("GET", web + path(run))
    before = psutil.Process(pid).num_threads()
    with ExitStack() as opened:
        for rest in ("/stream", "/join", "/stream", "/join") * 10:
            opened.enter_context(http.opened("GET", web + path(run, rest)))
        wait_until(lambda: psutil.Process(pid).num_threads() < before + 20, "the threads of forty requests to end")
    finish(run)


def test_a_finished_run_whose_stream_is_gone_ends_at_once(http: Http, here: str, there: str) -> None:
    run = finish(create(http, here), answer=42)
    wipe(run)
    with http.opened("GET", there + path(run, "/stream")) as watching:
        assert names_of(watching) == ["metadata", "values", "end"]
