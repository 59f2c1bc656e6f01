"""Point 8: what happens to the run of a graph when its client leaves."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client

from project.local.running import RunningServer
from tests.contract.answers import status, take, wait_for_status
from tests.contract.conftest import Gates
from tests.contract.slow import in_the_second_step, slow

pytestmark = pytest.mark.timeout(180)

FAR_AWAY = 3600


@pytest.fixture
def browser(live: RunningServer) -> Iterator[httpx.Client]:
    """Can leave while it waits, which the synchronous client of the SDK cannot."""
    with httpx.Client(base_url=live.url, headers={"x-api-key": live.api_key}, timeout=60) as client:
        yield client


@contextmanager
def begin(browser: httpx.Client, route: str, **body: Any) -> Iterator[tuple[str, str]]:
    """Begins to wait for, or to watch, a new run on a new thread; yields (thread, run), leaves with the block."""
    thread_id = browser.post("/threads", json={}).json()["thread_id"]
    with browser.stream("POST", f"/threads/{thread_id}/runs/{route}", json={"assistant_id": "slow", **body}) as answer:
        yield thread_id, answer.headers["content-location"].rpartition("/")[2]


def test_8_leaving_cancels_or_not_as_was_asked(live: RunningServer, gates: Gates, browser: httpx.Client) -> None:
    """Whether one waits for the outcome or watches, and also before the run has begun."""
    sdk = get_sync_client(url=live.url, api_key=live.api_key)
    ways = [(route, later) for route in ("stream", "wait") for later in ({}, {"after_seconds": FAR_AWAY})]

    def left_behind(mode: str) -> list[tuple[str, str]]:
        with ExitStack() as clients:
            runs: list[tuple[str, str]] = [
                clients.enter_context(begin(browser, route, input=slow(gates, 1), on_disconnect=mode, **later))
                for route, later in ways
            ]
            for run in (runs[0], runs[2]):
                wait_for_status(sdk, *run, "running")
        return runs

    with sdk:
        kept, cancelled = left_behind("continue"), left_behind("cancel")
        for run in cancelled:
            wait_for_status(sdk, *run, "interrupted")
            assert sdk.runs.get(*run)["cancelled_by"] == "system/disconnect"  # type: ignore[typeddict-item]
        assert [status(sdk, *run) for run in kept] == ["running", "pending"] * 2
        gates.open(0)
        values: Any = [sdk.runs.join(*kept[number]) for number in (0, 2)]
    assert [one["log"] for one in values] == [["A:0"], ["A:0"]]


def test_8_a_joiner_cancels_by_leaving_when_nobody_else_watches(sdk: Any, gates: Gates) -> None:
    """Somebody who watches another run leaves at the same moment: when that run has been cancelled, ours has not."""
    threads = [sdk.threads.create()["thread_id"] for _ in "ab"]
    watched, lonely = [(thread_id, in_the_second_step(sdk, thread_id, gates)) for thread_id in threads]
    first = ("values", {**slow(gates), "log": ["A:0"]})
    streams = [sdk.runs.join_stream(*run, cancel_on_disconnect=True) for run in (watched, watched, lonely)]
    for stream in streams:
        take(stream, *first)
    streams[0].close()
    streams[2].close()
    wait_for_status(sdk, *lonely, "interrupted")
    assert status(sdk, *watched) == "running"
    streams[1].close()
    wait_for_status(sdk, *watched, "interrupted")
