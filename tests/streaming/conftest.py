"""Streams are written after commits and read by other connections, so everything here happens in committed rows."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.test import override_settings

from tests.support.fixtures import intact
from tests.support.stage import stage

if TYPE_CHECKING:
    from tests.support.api import Api
    from tests.support.reading import Loop
    from tests.support.server import ServerProcess
    from tests.support.worker import WorkerProcess

__all__ = ["intact", "stage"]


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
def webs(
    db: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[tuple[ServerProcess, ServerProcess]]":
    """Two web processes; RUNS of the test's module goes over their settings.RUNS."""
    from tests.support import emitters, factories
    from tests.support.server import ServerProcess

    names = {**factories.ASSISTANTS, **emitters.ASSISTANTS}
    environment = {
        "RUNYARD_ASSISTANTS": ",".join(f"{name}={path}" for name, path in names.items()),
        "RUNYARD_RUNS_SETTINGS": json.dumps(getattr(request.module, "RUNS", {})),
    }
    first, second = (ServerProcess(tmp_path_factory.mktemp("web"), **environment) for _ in range(2))
    with first, second:
        yield first, second


@pytest.fixture(scope="module")
def worker(db: None, request: pytest.FixtureRequest) -> "Iterator[WorkerProcess]":
    """A worker that knows the emitters."""
    from tests.support import assistants, emitters
    from tests.support.worker import WorkerProcess

    names = {name: f"{assistants.__name__}:{name}" for name in assistants.ASSISTANTS}
    runs = {"ASSISTANTS": {**names, **emitters.ASSISTANTS}, **getattr(request.module, "RUNS", {})}
    with WorkerProcess(concurrency=2, runs=runs) as worker:
        yield worker


@pytest.fixture
def api(db: None) -> "Api":
    """The owner of what the factories make, with a key."""
    from tests.support.api import make_api

    return make_api("ada")
