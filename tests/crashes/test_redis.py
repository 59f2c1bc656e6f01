"""The broker restarted, emptied, standing still and cut off, under load: no run is lost or executed twice."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runs.models import Run
from runs.services.api_keys import create_api_key
from runs.states import RunStatus
from tests.support.engines import SessionEngines
from tests.support.factories import make_actor, make_thread
from tests.support.ledger import entries, wait_until
from tests.support.load import Load
from tests.support.outages import restart_redis, still_redis
from tests.support.scale import rounds
from tests.support.stack import Stack
from tests.support.stage import broker, empty_queue
from tests.support.swallowing import SwallowingProxy

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(1800)]

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def link(db: None, engines: SessionEngines) -> Iterator[SwallowingProxy]:
    """The way to Redis, for the processes of the stack alone."""
    assert engines.redis is not None
    with SwallowingProxy(engines.redis.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def stack(link: SwallowingProxy) -> Iterator[Stack]:
    """Two workers, a scheduler and a web process behind the link."""
    empty_queue()
    faults = ("mortal", "attentive")
    with Stack(workers=2, webs=1, faults=faults, REDIS_URL=link.url, CELERY_BROKER_URL=link.url) as stack:
        yield stack


def check_all_done_once(load: Load) -> None:
    """Every run has succeeded, and without a worker's death in its first attempt."""
    runs = load.wait_until_settled()
    assert len(runs) > 0
    assert {(run.status, run.attempt) for run in runs} == {(RunStatus.SUCCESS, 1)}
    for run in runs:
        assert [entry.event for entry in entries(run.pk) if entry.event != "beat"] == PAID


PAID = ["start", "paid 0", "paid 1", "paid 2", "left"]


def empty(engines: SessionEngines) -> None:
    """Every queue, stream and sentinel gone."""
    with broker() as client:
        client.flushall()


#: With a pause between two creates that lets two workers make up, in their time, for what an outage has piled up.
FAILURES = [(restart_redis, 10, 0.1), (empty, 5, 0.1), (still_redis, 3, 0.5)]


@pytest.mark.parametrize(("what", "times", "pause"), FAILURES)
def test_redis_fails_under_load(
    what: Callable[[SessionEngines], None], times: int, pause: float, stack: Stack, engines: SessionEngines
) -> None:
    with Load(pause=pause) as load:
        for _ in range(rounds(times)):
            load.wait_for_more(5)
            what(engines)
        load.wait_for_more(5)
    check_all_done_once(load)


def test_half_open_link(stack: Stack, link: SwallowingProxy) -> None:
    """Connections that stay open and pass nothing any more; new ones work."""
    with Load() as load:
        for _ in range(rounds(3)):
            load.wait_for_more(5)
            assert link.swallow() > 0
        load.wait_for_more(5)
    check_all_done_once(load)


def test_a_run_is_accepted_while_redis_is_down_and_starts_when_it_is_back(
    stack: Stack, engines: SessionEngines
) -> None:
    key = create_api_key(owner=make_actor().owner, name="key")[1]
    assert engines.redis is not None
    engines.redis.kill()
    try:
        runs = [create(stack.webs[0].url, key) for _ in range(5)]
        shown = [get(stack.webs[0].url, key, run)["status"] for run in runs]
        assert shown == ["pending"] * 5
    finally:
        engines.redis.start()
    for run in runs:
        done = Run.objects.filter(pk=run["run_id"], status=RunStatus.SUCCESS)
        assert wait_until(done.first, "the run to succeed", PATIENCE_SECONDS).attempt == 1


def create(web: str, key: str) -> Any:
    """A run on a thread of its own; fails unless it is accepted."""
    url = f"{web}/threads/{make_thread().pk}/runs"
    body = json.dumps({"assistant_id": "payer"}).encode()
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return json.load(answer)


def get(web: str, key: str, run: Any) -> Any:
    """The run, as the API shows it."""
    url = f"{web}/threads/{run['thread_id']}/runs/{run['run_id']}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"X-Api-Key": key}), timeout=30) as answer:
        return json.load(answer)
