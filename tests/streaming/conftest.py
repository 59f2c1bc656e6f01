"""Streams are written after commits and read by other connections, so everything here happens in committed rows."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.test import override_settings

from project.local.valkey import Valkey, ping
from tests.support.engines import SessionEngines
from tests.support.fixtures import intact
from tests.support.stage import stage, swept

if TYPE_CHECKING:
    from tests.support.api import Api
    from tests.support.client import Webs
    from tests.support.guests import House
    from tests.support.reading import Loop
    from tests.support.worker import WorkerProcess

__all__ = ["intact", "stage", "swept"]


@pytest.fixture(scope="module")
def db(stage: None) -> Iterator[None]:
    """In place of pytest-django's, which rolls back; with the assistants of the factories, and the emitters."""
    from runs.assistants import registry
    from tests.support import emitters, factories

    names = {**settings.RUNS["ASSISTANTS"], **factories.ASSISTANTS, **emitters.ASSISTANTS}
    with override_settings(RUNS={**settings.RUNS, "ASSISTANTS": names}):
        registry.forget()
        yield
    registry.forget()


@pytest.fixture(scope="module")
def loop(db: None) -> "Iterator[Loop]":
    """Where the readers of a module are at work."""
    from tests.support.reading import Loop

    with Loop() as loop:
        yield loop


@pytest.fixture(scope="module")
def webs(db: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Webs]":
    """Two web processes; RUNS of the test's module goes over their settings.RUNS."""
    from tests.support.emitters import web_process

    given = json.dumps(getattr(request.module, "RUNS", {}))
    first, second = (web_process(tmp_path_factory.mktemp("web"), RUNYARD_RUNS_SETTINGS=given) for _ in range(2))
    with ExitStack() as stack:
        for web in (first, second):  # both at once
            web.launch()
            stack.callback(web.stop)
        for web in (first, second):
            web.wait_until_ready()
        yield first, second


@pytest.fixture(scope="module")
def worker(db: None, request: pytest.FixtureRequest) -> "Iterator[WorkerProcess]":
    """A worker that knows the emitters; CONCURRENCY of the test's module says how many runs it executes at once."""
    from tests.support.emitters import worker_process

    with worker_process(concurrency=getattr(request.module, "CONCURRENCY", 2)) as worker:
        yield worker


@pytest.fixture
def redis_away(db: None, engines: SessionEngines) -> Iterator[Valkey]:
    """The session's Redis, to be killed and started again; it is there again when the test is over."""
    redis = engines.redis
    assert redis is not None, "these tests need a Redis of their own"
    yield redis
    if not ping(redis.url):
        redis.start()


@pytest.fixture
def api(db: None) -> "Api":
    """The owner of what the factories make, with a key."""
    from tests.support.api import make_api

    return make_api("ada")


@pytest.fixture(scope="module")
def house(loop: "Loop", webs: "Webs") -> "House":
    """The two web processes, and the key of the one who owns what the factories make."""
    from tests.support.api import make_api
    from tests.support.guests import House

    return House(loop, webs, make_api("ada").key)
