"""Draining a worker in a browser: by mouse, by keyboard alone, for everybody; and who may not is offered nothing."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from project.local.running import RunningServer
from tests.browser.conftest import PATIENCE_MS
from tests.browser.console import VIEWER, VIEWERS_PASSWORD, Scene, follow, log_in, serious
from tests.contract.conftest import Gates

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=PATIENCE_MS)

WORKERS = "/admin/runs/worker/"
DRAIN, RESUME = '[data-worker-act="drain"]', '[data-worker-act="resume"]'


@pytest.fixture
def workers(console: Page, live: RunningServer) -> Iterator[Page]:
    """The list of the living worker, which takes runs again when the test is over."""
    console.goto(f"{live.url}{WORKERS}?state=alive")
    yield console
    console.goto(live.url + WORKERS)
    if console.locator(RESUME).count():
        answer(console, console.locator(RESUME).first, "Resume")


def answer(page: Page, button: Any, title: str, reason: str = "") -> None:
    """Open the dialog and confirm it."""
    button.click()
    expect(page.locator("#act-title")).to_have_text(re.compile(rf"^{title} worker .+:\d+\?$"))
    if reason:
        page.fill("#act-reason", reason)
    follow(page.locator("#act [data-confirm]"))
    expect(page.locator("#act")).to_be_hidden()


def test_a_worker_is_drained_and_resumed(workers: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    answer(workers, workers.locator(DRAIN), "Drain", "a deploy")
    expect(workers.get_by_text("was drained.")).to_be_visible()
    expect(workers.locator("#result_list .field-state")).to_contain_text("draining")
    scene = Scene(api, gates)
    workers.goto(f"{live.url}/admin/runs/thread/{scene.thread}/change/")
    expect(workers.locator("#obstacle")).to_contain_text("all workers that are alive are drained")

    workers.goto(f"{live.url}{WORKERS}?state=draining")
    follow(workers.locator("#result_list th a").first)
    expect(workers.get_by_text("by operator:operator")).to_be_visible()
    answer(workers, workers.locator(RESUME), "Resume")
    expect(workers.get_by_text("was resumed.")).to_be_visible()
    expect(workers.locator(DRAIN)).to_be_visible()
    gates.open(0)
    api.runs.join(scene.thread, scene.runs[0])
    assert api.runs.get(scene.thread, scene.runs[0])["status"] == "success"
    workers.get_by_role("link", name="History").click()
    expect(workers.get_by_text("Drain: a deploy")).to_be_visible()


def test_by_keyboard_alone(workers: Page) -> None:
    workers.locator(DRAIN).focus()
    identity = workers.locator(DRAIN).get_attribute("id")
    workers.keyboard.press("Enter")
    expect(workers.locator("#act-reason")).to_be_focused()
    workers.keyboard.press("Escape")
    expect(workers.locator("#act")).to_be_hidden()
    expect(workers.locator(f"#{identity}")).to_be_focused()
    workers.keyboard.press("Enter")
    workers.keyboard.press("Tab")
    expect(workers.locator("#act [data-confirm]")).to_be_focused()
    workers.keyboard.press("Enter")
    expect(workers.get_by_text("was drained.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_for_everybody(workers: Page, live: RunningServer, scheme: Any) -> None:
    workers.emulate_media(color_scheme=scheme)
    workers.reload()
    assert serious(workers) == []
    workers.locator(DRAIN).click()
    assert serious(workers) == []
    workers.locator("#act [data-close]").click()
    follow(workers.locator("#result_list th a").first)
    expect(workers.locator(DRAIN)).to_be_visible()
    assert serious(workers) == []
    workers.locator(DRAIN).click()
    assert serious(workers) == []


@pytest.mark.usefixtures("viewer")
def test_who_may_only_look_is_offered_nothing(browser: Browser, live: RunningServer) -> None:
    context = browser.new_context()
    page = context.new_page()
    log_in(page, live, VIEWER, VIEWERS_PASSWORD)
    page.goto(f"{live.url}{WORKERS}?state=alive")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    assert page.locator("[data-worker-act], #act").count() == 0
    context.close()
