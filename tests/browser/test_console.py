"""The operators' console in a browser, in front of real workers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from langgraph_sdk import get_sync_client
from playwright.sync_api import Browser, Locator, Page, expect

from project.local.running import RunningServer
from tests.browser.conftest import PATIENCE_MS
from tests.contract.conftest import Gates

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=PATIENCE_MS)

VIEWER = "viewer-pw-1"


@pytest.fixture(scope="module")
def viewer(live: RunningServer) -> None:
    """A user of the admin who may see runs and nothing else."""
    script = (
        "from django.contrib.auth.models import User, Permission\n"
        f"user = User.objects.create_user('viewer', password={VIEWER!r}, is_staff=True)\n"
        "user.user_permissions.add(Permission.objects.get(codename='view_run'))"
    )
    environment = {**os.environ, "RUNYARD_HOME": str(live.home.path)}
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CELERY_BROKER_URL"):
        environment.pop(name, None)
    subprocess.run([sys.executable, "manage.py", "shell", "-c", script], check=True, env=environment)


@pytest.fixture
def api(live: RunningServer) -> Iterator[Any]:
    """The API, as a client of somebody's uses it."""
    with get_sync_client(url=live.url, api_key=live.api_key) as client:
        yield client


def log_in(page: Page, live: RunningServer, name: str, password: str) -> None:
    page.goto(f"{live.url}/admin/login/?next=/admin/runs/run/")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.click("form [type=submit]")
    page.wait_for_selector("#live")


@pytest.fixture
def console(page: Page, live: RunningServer, complaints: list[str]) -> Iterator[Page]:
    """The list of runs, as the operator sees it; it must not have complained when the test is over."""
    log_in(page, live, "operator", live.home.values()["RUNYARD_ADMIN_PASSWORD"])
    yield page
    assert complaints == []


class Scene:
    """One thread on which a run executes, held at a gate, and others wait behind it."""

    def __init__(self, api: Any, gates: Gates, waiting: int = 0) -> None:
        self.thread = api.threads.create()["thread_id"]
        given = {"count": 1, "gates": str(gates.directory)}
        self.runs = [
            api.runs.create(self.thread, "steps", input=given, multitask_strategy="enqueue")["run_id"]
            for _ in range(waiting + 1)
        ]

    @property
    def address(self) -> str:
        return f"/admin/runs/run/?thread={self.thread}"


def row(page: Page, run: str) -> Locator:
    return page.locator(f'tr[data-run="{run}"]')


def expect_status(page: Page, run: str, status: str) -> None:
    expect(page.locator(f'tr[data-run="{run}"][data-status="{status}"]')).to_be_visible()


def confirm(page: Page, reason: str = "", words: str = "1 run") -> None:
    """Answer the dialog that is open."""
    button = page.locator("#act [data-confirm]")
    expect(button).to_be_enabled()
    expect(button).to_contain_text(words)
    if reason:
        page.fill("#act-reason", reason)
    button.click()


def close(page: Page, result: str) -> None:
    """Read what the dialog reports, and close it."""
    expect(page.locator("#act [data-result]")).to_contain_text(result)
    page.click("#act [data-close]")
    expect(page.locator("#act")).to_be_hidden()


def test_filter_bookmark_open_cancel_and_see_it_change(
    console: Page, live: RunningServer, api: Any, gates: Gates
) -> None:
    scene = Scene(api, gates, waiting=1)
    console.click("summary")
    console.fill("[name=thread]", scene.thread)
    console.click("text=Apply")
    assert console.url == f"{live.url}{scene.address}"
    expect_status(console, scene.runs[0], "running")
    expect(row(console, scene.runs[1])).to_contain_text("behind 1 of its thread")
    console.click("#tab-pending")
    expect(console.locator("tr[data-run]")).to_have_count(1)
    bookmark = console.url

    console.goto(f"{live.url}/admin/")
    console.goto(bookmark)
    expect_status(console, scene.runs[1], "pending")
    console.click("#tab-all")
    console.click(f"#run-{scene.runs[0]}")
    expect(console.locator(".console-head h2")).to_have_text(scene.runs[0])
    console.click("#cancel-run")
    expect(console.locator("#act-reason")).to_have_value("cancelled by operator:operator")
    confirm(console, "the wrong document")
    close(console, "1 run cancelled")
    expect(console.locator(".console-head .is-interrupted")).to_be_visible()

    console.go_back()
    expect_status(console, scene.runs[0], "interrupted")
    expect(row(console, scene.runs[0])).to_contain_text("cancelled by operator:operator: the wrong document")
    expect_status(console, scene.runs[1], "running")
    gates.open(0)
    expect_status(console, scene.runs[1], "success")
    assert api.runs.get(scene.thread, scene.runs[0])["status"] == "interrupted"


def test_the_rows_stand_still_while_paused(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    console.goto(live.url + scene.address)
    expect_status(console, scene.runs[0], "running")
    console.click("[data-pause]")
    requests: list[str] = []
    console.on("request", lambda request: requests.append(request.url))
    gates.open(0)
    api.runs.join(scene.thread, scene.runs[0])
    console.wait_for_timeout(5000)  # longer than the rows' interval: nothing must be asked for meanwhile
    assert requests == []
    expect_status(console, scene.runs[0], "running")
    console.click("[data-pause]")
    expect_status(console, scene.runs[0], "success")


def test_search_says_what_it_understood(console: Page, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    gates.open(0)
    console.fill("#q", scene.thread)
    console.press("#q", "Enter")
    expect(console.locator("#understood")).to_have_text(f"Searching for thread = {scene.thread}.")
    expect(console.locator("tr[data-run]")).to_have_count(1)
    console.fill("#q", "nonsense")
    console.press("#q", "Enter")
    expect(console.locator("#understood")).to_contain_text("Not understood")
    expect(console.locator("tr[data-run]")).to_have_count(0)
    expect(console.locator('[data-scope="filter"]')).to_have_count(0)


def test_cancel_the_selected_and_all_that_match(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates, waiting=5)
    other = Scene(api, gates)
    expect(console.locator('[data-scope="filter"]')).to_have_count(0)
    console.goto(live.url + scene.address)
    expect_status(console, scene.runs[0], "running")
    for run in scene.runs[4:]:
        console.check(f"#select-{run}")
    console.click("#selected-cancel")
    expect(console.locator("#act [data-count]")).to_have_text("This reaches 2 runs: 0 running, 2 pending.")
    confirm(console, words="2 runs")
    close(console, "2 runs cancelled")
    for run in scene.runs[4:]:
        expect_status(console, run, "interrupted")

    console.click("#all-cancel")
    expect(console.locator("#act [data-count]")).to_have_text("This reaches 4 runs: 1 running, 3 pending.")
    console.check("#act [value=rollback]")
    confirm(console, "cleaning up", words="4 runs")
    close(console, "4 runs cancelled")
    for run in scene.runs:
        expect_status(console, run, "interrupted")
    assert console.url == live.url + scene.address
    assert api.runs.get(other.thread, other.runs[0])["status"] in ("pending", "running")
    gates.open(0)


def test_retry_makes_a_new_run_and_links_to_it(console: Page, live: RunningServer, api: Any) -> None:
    thread = api.threads.create()["thread_id"]
    failed = api.runs.create(thread, "failing", input={"message": "no such page"})["run_id"]
    api.runs.join(thread, failed)
    console.goto(f"{live.url}/admin/runs/run/{failed}/change/")
    expect(console.locator(".console-error h3")).to_have_text("ValueError")
    expect(console.locator("#traceback")).to_contain_text("no such page")
    console.click("#retry-run")
    confirm(console)
    expect(console.locator("#act [data-result]")).to_contain_text("1 run retried")
    console.click("#act [data-result] a")
    expect(console.locator(f'.console-facts a[href*="{failed}"]')).to_be_visible()
    expect(console.locator(".console-head .is-error")).to_be_visible()
    assert len(api.runs.list(thread)) == 2


def test_force_stop_ends_the_process(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    console.goto(live.url + scene.address)
    expect_status(console, scene.runs[0], "running")
    console.click(f"#force_stop-{scene.runs[0]}")
    confirm(console, "it hangs")
    close(console, "1 run force stopped")
    expect_status(console, scene.runs[0], "interrupted")
    console.click(f"#run-{scene.runs[0]}")
    console.click("#tab-events")
    expect(console.locator("td", has_text="it hangs")).to_be_visible()
    expect(console.locator("tbody tr")).to_have_count(4)  # created, claimed, stopped, settled


def test_the_live_stream_is_shown_to_the_end(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    console.goto(f"{live.url}/admin/runs/run/{scene.runs[0]}/change/?tab=stream")
    expect(console.locator(".console-stream li", has_text="metadata")).to_have_count(1)
    gates.open(0)
    expect(console.locator("[data-stream-state]")).to_have_text("The stream has ended.")
    frames = ["1-0 metadata", "1-1 values", "end null"]
    expect(console.locator(".console-stream li")).to_contain_text(frames)


@pytest.mark.usefixtures("viewer")
def test_a_viewer_sees_and_cannot_do(page: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    log_in(page, live, "viewer", VIEWER)
    page.goto(live.url + scene.address)
    expect_status(page, scene.runs[0], "running")
    for path in (scene.address, f"/admin/runs/run/{scene.runs[0]}/change/"):
        page.goto(live.url + path)
        assert page.locator("[data-act], [data-select], #act").count() == 0
    cookie = next(one["value"] for one in page.context.cookies() if one.get("name") == "csrftoken")
    forged = page.request.post(
        f"{live.url}/admin/runs/run/act/cancel/", form={"run": scene.runs[0]}, headers={"X-CSRFToken": cookie}
    )
    assert forged.status == 403
    assert api.runs.get(scene.thread, scene.runs[0])["status"] == "running"
    gates.open(0)


def test_by_keyboard_alone(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    console.goto(live.url + scene.address)
    expect_status(console, scene.runs[0], "running")
    console.keyboard.press("n")
    expect(console.locator(f"#run-{scene.runs[0]}")).to_be_focused()
    console.keyboard.press("x")
    expect(console.locator("[data-selected]")).to_have_text("1 selected")
    console.keyboard.press("c")
    expect(console.locator("#act-reason")).to_be_focused()
    expect(console.locator("#act-reason")).to_have_value("cancelled by operator:operator")
    expect(console.locator("#act [data-confirm]")).to_be_enabled()
    console.keyboard.press("Tab")
    expect(console.locator("#act [data-confirm]")).to_be_focused()
    console.keyboard.press("Enter")
    expect(console.locator("#act [data-result]")).to_contain_text("1 run cancelled")
    expect(console.locator("#act [data-close]")).to_be_focused()
    console.keyboard.press("Enter")
    expect(console.locator("#act")).to_be_hidden()
    expect_status(console, scene.runs[0], "interrupted")


PAGES = ("", "?status=active", "change/", "change/?tab=timeline", "change/?tab=events", "change/?tab=data")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_accessible_and_fits(
    browser: Browser, live: RunningServer, api: Any, scheme: Any, width: int
) -> None:
    thread = api.threads.create()["thread_id"]
    failed = api.runs.create(thread, "failing", input={"message": "no such page"})["run_id"]
    api.runs.join(thread, failed)
    context = browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    log_in(page, live, "operator", live.home.values()["RUNYARD_ADMIN_PASSWORD"])
    for each in PAGES:
        address = f"{failed}/{each}" if each.startswith("change") else each
        page.goto(f"{live.url}/admin/runs/run/{address}")
        page.wait_for_selector("#live")
        assert page.evaluate("document.documentElement.classList.contains('dark')") is (scheme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert serious(page) == [], address
        if directory := os.environ.get("SCREENSHOTS"):
            name = address.replace(failed, "run").strip("/").replace("/", "-").replace("?", "-") or "runs"
            page.screenshot(path=f"{directory}/{name}-{width}-{scheme}.png", full_page=True)
    page.goto(f"{live.url}/admin/runs/run/{failed}/change/")
    page.click("#retry-run")
    expect(page.locator("#act [data-confirm]")).to_be_enabled()
    assert serious(page) == []
    if directory := os.environ.get("SCREENSHOTS"):  # for those who look at them, and for docs/
        page.screenshot(path=f"{directory}/dialog-{width}-{scheme}.png")
    context.close()


def serious(page: Page) -> list[str]:
    """What axe-core finds serious or critical in the console's own part of the page: rule and place."""
    found = Axe().run(page, context=".console").response["violations"]
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
