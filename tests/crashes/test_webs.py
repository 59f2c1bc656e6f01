"""Web processes killed between the commit of a create and its publication: what was committed starts all the same."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.client import HTTPException
from typing import Any

import pytest

from runs.models import Run
from runs.services.api_keys import create_api_key
from runs.states import RunStatus
from tests.support import crash_points
from tests.support.factories import make_actor, make_thread
from tests.support.ledger import wait_until
from tests.support.scale import rounds
from tests.support.server import ServerProcess
from tests.support.stack import Stack
from tests.support.stage import empty_queue, messages, wait_for_status

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(1800)]

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Two web processes: one dies, and while it is started again the other one is asked."""
    empty_queue()
    with Stack(workers=1, webs=2) as stack:
        yield stack
        crash_points.disarm()


@pytest.fixture(scope="module")
def key(db: None) -> str:
    """An API key."""
    return create_api_key(owner=make_actor().owner, name="key")[1]


def post(url: str, key: str, body: Any, **headers: str) -> Any:
    """What the server answers; None if it did not."""
    headers = {"X-Api-Key": key, "Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        raise
    except (OSError, HTTPException):
        return None


def test_killed_between_commit_and_publish(stack: Stack, key: str) -> None:
    """The client has no answer; asked again under its key, the server names the run that it had accepted."""
    for number in range(rounds(50)):
        thread = make_thread()
        doomed, other = (stack.webs[(number + which) % 2] for which in range(2))
        doomed.wait_until_ready()
        path, create = f"/threads/{thread.pk}/runs", {"assistant_id": "payer"}
        sent = {"Idempotency-Key": f"create {number}"}
        wait_for_death = crash_points.arm("between commit and publish")
        assert post(doomed.url + path, key, create, **sent) is None
        wait_for_death()
        succeeded = Run.objects.filter(thread=thread, status=RunStatus.SUCCESS, leased=False)
        run = wait_until(succeeded.first, "the run to succeed", PATIENCE_SECONDS)
        assert (run.attempt, Run.objects.filter(thread=thread).count()) == (1, 1)
        wait_until(partial(is_dead, doomed), "the web process to be dead")
        doomed.launch()
        other.wait_until_ready()
        again = post(other.url + path, key, create, **sent)
        assert again["run_id"] == str(run.pk)
    stack.mend()


def is_dead(web: ServerProcess) -> bool:
    """Whether the process has gone."""
    return not web.is_running


def test_without_a_scheduler_it_would_never_start(stack: Stack, key: str) -> None:
    """The control: nothing but a scheduler knows of the run, and a scheduler is enough."""
    thread = make_thread()
    stack.schedulers[0].stop()
    wait_for_death = crash_points.arm("between commit and publish")
    assert post(f"{stack.webs[0].url}/threads/{thread.pk}/runs", key, {"assistant_id": "payer"}) is None
    wait_for_death()
    run = Run.objects.get(thread=thread)
    assert (run.status, messages()) == (RunStatus.PENDING, 0)
    stack.mend()
    assert wait_for_status(run.pk, RunStatus.SUCCESS, PATIENCE_SECONDS).attempt == 1
