"""The playground, in a browser: run, watch, stop, reload, and see the stream go on."""

import json
import re
from typing import Any

import pytest
import redis
from playwright.sync_api import Page, expect

from project.local.running import RunningServer
from tests.browser.conftest import PATIENCE_MS, log_in
from tests.contract.conftest import Gates
from tests.contract.proxy import CuttingProxy
from tests.support.ledger import wait_until

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=PATIENCE_MS)

FIRST_STEP = ["metadata", "custom", "updates", "values"]
SECOND_STEP = ["custom", "updates", "values"]


@pytest.fixture
def playground(operators_page: Page, live: RunningServer) -> Page:
    """The page, as the operator sees it."""
    operators_page.goto(f"{live.url}/playground/")
    operators_page.wait_for_selector("#start:enabled")
    return operators_page


def ask(page: Page, assistant: str, given: Any, **choices: str) -> None:
    """Fill the form and run."""
    page.select_option("#assistant", assistant)
    page.fill("#input", given if isinstance(given, str) else json.dumps(given))
    for name, choice in choices.items():
        page.select_option(f"#{name.replace('_', '-')}", choice)
    page.click("#start")


def run_to_the_middle(page: Page, gates: Gates, **choices: str) -> None:
    """Run `steps`, of which the first step is shown and the second waits."""
    gates.open(0)
    ask(page, "steps", {"count": 2, "gates": str(gates.directory)}, **choices)
    expect_frames(page, FIRST_STEP)


def expect_frames(page: Page, events: list[str]) -> None:
    """The frames that are shown are exactly these, without what the page itself notes."""
    expect(page.locator("#frames li:not([data-event=note]) b")).to_have_text(events)


def expect_state(page: Page, values: Any) -> None:
    """The thread's state, as far as the page knows it."""
    expect(page.locator("#state")).to_have_text(json.dumps(values, indent=2), use_inner_text=True)


def ids(page: Page) -> list[str]:
    """The ids of the frames that have one."""
    return [text for text in page.locator("#frames li:not([data-event=note]) code").all_inner_texts() if text]


def test_nobody_sees_it_without_logging_in(page: Page, live: RunningServer) -> None:
    page.goto(f"{live.url}/playground/")
    assert page.url == f"{live.url}/admin/login/?next=/playground/"

    log_in(page, live.url, live)
    assert page.url == f"{live.url}/playground/"


def test_each_assistant_comes_with_an_input_that_works(playground: Page) -> None:
    names = playground.locator("#assistant option").all_inner_texts()
    assert names == ["digest", "failing", "keywords", "passages", "steps"]

    for name in ("keywords", "passages"):
        playground.click("#new-thread")
        playground.select_option("#assistant", name)
        playground.click("#start")
        expect(playground.locator("#status")).to_have_text("success")
        assert name in json.loads(playground.inner_text("#state"))


def test_frames_are_shown_as_they_come_to_the_end(playground: Page, gates: Gates) -> None:
    run_to_the_middle(playground, gates)
    expect(playground.locator("#connection")).to_have_attribute("data-state", "live")
    expect(playground.locator("#status")).to_have_text("in flight")
    expect_state(playground, {"log": ["0"]})
    gates.open(1)

    expect_frames(playground, [*FIRST_STEP, *SECOND_STEP, "end"])
    expect(playground.locator("#status")).to_have_text("success")
    expect(playground.locator("#interrupt")).to_be_disabled()
    assert json.loads(playground.inner_text("#state")) == {"log": ["0", "1"]}
    assert ids(playground)[:-1] == [f"1-{number}" for number in range(7)]


def test_a_second_run_on_the_same_thread_goes_on_with_its_state(playground: Page) -> None:
    for log in (["0"], ["0", "0"]):
        ask(playground, "steps", {"count": 1})
        expect_state(playground, {"log": log})
    playground.click("#new-thread")
    ask(playground, "steps", {"count": 1})
    expect_state(playground, {"log": ["0"]})


@pytest.mark.parametrize(
    ("button", "status", "state"), [("interrupt", "interrupted", {"log": ["0"]}), ("rollback", "rolled back", {})]
)
def test_stopping(playground: Page, gates: Gates, button: str, status: str, state: Any) -> None:
    run_to_the_middle(playground, gates)
    playground.click(f"#{button}")

    expect_frames(playground, [*FIRST_STEP, "end"])
    expect(playground.locator("#frames [data-event=note] pre")).to_have_text([f"{button}: the server answers 202"])
    expect(playground.locator("#status")).to_contain_text(status)
    assert json.loads(playground.inner_text("#state")) == state


@pytest.mark.parametrize("on_disconnect", ["continue", "cancel"])
def test_a_reloaded_page_goes_on_with_the_stream(playground: Page, gates: Gates, on_disconnect: str) -> None:
    run_to_the_middle(playground, gates, on_disconnect=on_disconnect)
    with playground.expect_request(re.compile(r"/runs/[^/]+/stream")) as request:
        playground.reload()
    assert request.value.headers["last-event-id"] == "1-3"
    assert f"cancel_on_disconnect={int(on_disconnect == 'cancel')}" in request.value.url
    expect(playground.locator("#frames [data-event=note] pre")).to_have_text(
        ["this page was reloaded; going on after 1-3"]
    )
    expect_state(playground, {"log": ["0"]})
    gates.open(1)

    expect_frames(playground, [*FIRST_STEP, *SECOND_STEP, "end"])
    expect(playground.locator("#status")).to_have_text("success")


def test_a_page_that_is_reloaded_after_the_end_shows_it_again(playground: Page) -> None:
    ask(playground, "steps", {"count": 1})
    expect(playground.locator("#status")).to_have_text("success")
    playground.reload()

    expect(playground.locator("#status")).to_have_text("success")
    expect_frames(playground, [*FIRST_STEP, "end"])
    assert json.loads(playground.inner_text("#state")) == {"log": ["0"]}


def test_heartbeats_are_counted(playground: Page, gates: Gates) -> None:
    run_to_the_middle(playground, gates)

    expect(playground.locator("#heartbeats")).to_contain_text("1, the last one at")


def test_a_cut_connection_is_told_and_mended(page: Page, live: RunningServer, gates: Gates) -> None:
    with CuttingProxy(live.url) as proxy:
        log_in(page, proxy.url, live)
        run_to_the_middle(page, gates)
        assert proxy.cut() >= 1
        expect(page.locator("#connection")).to_have_text("going on after 1-3")
        gates.open(1)

        expect_frames(page, [*FIRST_STEP, *SECOND_STEP, "end"])
        expect(page.locator("#status")).to_have_text("success")


def test_a_gap_is_shown_and_the_stream_goes_on_behind_it(playground: Page, live: RunningServer, gates: Gates) -> None:
    run_to_the_middle(playground, gates)
    run_id = playground.inner_text("#run")
    playground.goto("about:blank")
    gates.open(1)
    with redis.Redis.from_url(live.home.values()["REDIS_URL"]) as server:
        wait_until(lambda: server.xlen(f"runyard:stream:{run_id}") == 8, "the stream to be complete")
        server.xtrim(f"runyard:stream:{run_id}", maxlen=2, approximate=False)  # the last frame and the end are left
    playground.goto(f"{live.url}/playground/")

    expect_frames(playground, [*FIRST_STEP, "gap", "values", "end"])
    gap = json.loads(playground.inner_text("#frames [data-event=gap] pre"))
    assert (gap["requested_event_id"], gap["earliest_available_event_id"]) == ("1-3", "1-6")
    expect(playground.locator("#status")).to_have_text("success")


def test_what_is_refused_is_explained(playground: Page, gates: Gates) -> None:
    ask(playground, "steps", "{not json")
    expect(playground.locator("#problem")).to_contain_text("The input is not JSON")
    run_to_the_middle(playground, gates)
    ask(playground, "steps", {"count": 1}, strategy="reject")
    expect(playground.locator("#problem")).to_contain_text("409 thread_busy: Thread is already running a task.")
    gates.open(1)

    expect_frames(playground, [*FIRST_STEP, *SECOND_STEP, "end"])


def test_a_failure_is_shown(playground: Page) -> None:
    ask(playground, "failing", {"message": "kaput"})

    expect(playground.locator("#frames [data-event=error] pre")).to_have_text(
        '{"error": "ValueError", "message": "kaput"}'
    )
    expect(playground.locator("#status")).to_have_text("error")
