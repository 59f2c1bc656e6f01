"""One Runyard for all clients of this directory: web, worker, scheduler and engines, as `make up` starts them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client, get_sync_client

from project.local.running import RunningServer, running_server
from tests.contract.assistants import registrations
from tests.contract.blocking import Blocking, event_loop

#: Functions of this directory and the graphs of a LangGraph project are assistants beside each other.
PROJECT = Path(__file__).parent.parent / "support" / "project" / "langgraph.json"


@dataclass(frozen=True)
class Gates:
    """The files for which the assistants `steps` and `slow` wait."""

    directory: Path

    def open(self, *numbers: int) -> None:
        """Let these steps happen, now and later."""
        for number in numbers:
            (self.directory / str(number)).touch()


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Up until the last of these tests; each test has threads of its own."""
    environment = {
        "RUNYARD_ASSISTANTS": registrations(),
        "RUNYARD_CONFIG": str(PROJECT),
        "CORS_ALLOWED_ORIGINS": "*",
    }
    with running_server(tmp_path_factory.mktemp("live"), environment=environment) as server:
        yield server


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Gates]:
    """All closed; open when the test is over, so that nothing goes on waiting."""
    directory = tmp_path / "gates"
    directory.mkdir()
    found = Gates(directory)
    yield found
    found.open(*range(10))


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """For calls that wait."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, live: RunningServer) -> Iterator[Callable[..., Any]]:
    """Makes clients of one kind, then of the other: `connect(url, **options)`."""
    with ExitStack() as stack:

        def connect(url: str = live.url, **options: Any) -> Any:
            options = {"url": url, "api_key": live.api_key, **options}
            if request.param == "sync":
                return stack.enter_context(get_sync_client(**options))
            blocking = Blocking(get_client(**options), stack.enter_context(event_loop()))
            stack.callback(blocking.aclose)
            return blocking

        yield connect


@pytest.fixture
def sdk(connect: Callable[..., Any]) -> Any:
    """The client of the one who has the key."""
    return connect()


@pytest.fixture
def thread_id(sdk: Any) -> str:
    """A new thread of theirs."""
    return str(sdk.threads.create()["thread_id"])
