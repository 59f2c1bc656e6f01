"""The dashboard, threads and workers of the console in a browser; and every page: dark, on a phone, for everybody."""

import re
import socket
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from project.local.running import RunningServer
from tests.browser.conftest import PATIENCE_MS
from tests.browser.console import VERY_LONG_MS, VIEWER, VIEWERS_PASSWORD, Scene, close, confirm, follow, log_in, serious
from tests.contract.answers import wait_for_status
from tests.contract.conftest import Gates

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=PATIENCE_MS)

ADMIN = "/admin/"
THREADS, WORKERS = "/admin/runs/thread/", "/admin/runs/worker/"
#: The interval of the dashboard's first window.
DASHBOARD_MS = 10_000
HOST = re.escape(socket.gethostname())


def card(page: Page, title: str) -> Any:
    return page.locator(".dashboard-cards > li", has=page.get_by_role("heading", name=title, exact=True))


def number(page: Page, title: str) -> str:
    return str(card(page, title).locator(".dashboard-value").inner_text())


def press_until(page: Page, key: str, focused: str) -> None:
    """Press until the focus is there."""
    for _ in range(80):
        page.keyboard.press(key)
        if page.evaluate("place => document.activeElement?.matches(place) ?? false", focused):
            return
    pytest.fail(f"{key} does not lead to {focused}")


def test_the_dashboard_shows_what_is_so_and_changes_by_itself(
    console: Page, live: RunningServer, api: Any, gates: Gates
) -> None:
    console.clock.install()
    console.goto(live.url + ADMIN)
    expect(card(console, "Queues").locator("tbody tr")).to_have_text(re.compile(r"runs\s*\d+"))
    running, pending = re.match(r"\d+", number(console, "Executing")), int(number(console, "Pending"))
    assert running is not None
    scene = Scene(api, gates, waiting=2)
    wait_for_status(api, scene.thread, scene.runs[0], "running")
    console.clock.run_for(DASHBOARD_MS)
    expect(card(console, "Pending").locator(".dashboard-value")).to_have_text(str(pending + 2))
    expect(card(console, "Executing").locator(".dashboard-value")).to_have_text(
        re.compile(rf"^{int(running[0]) + 1} of \d+$")
    )
    expect(card(console, "Pending")).to_contain_text("for their thread")
    gates.open(0)
    for run in scene.runs:
        api.runs.join(scene.thread, run)
    console.clock.run_for(DASHBOARD_MS)
    expect(card(console, "Pending").locator(".dashboard-value")).to_have_text(str(pending))
    drawn = (
        "() => [...document.querySelectorAll('canvas[data-chart]')].map(one => Chart.getChart(one)?.data.labels.length)"
    )
    assert console.evaluate(drawn) == [30] * 5
    finished = console.evaluate(
        "() => JSON.parse(document.getElementById('dashboard-data').textContent).throughput.success"
    )
    assert sum(finished) >= 3


def test_the_dashboard_by_keyboard_alone(console: Page, live: RunningServer) -> None:
    console.clock.install()
    console.goto(live.url + ADMIN)
    press_until(console, "Tab", '.dashboard-windows a[href="?window=15m"]')
    console.keyboard.press("Enter")
    expect(console.locator(".dashboard-windows [aria-current]")).to_have_text("15 minutes")
    assert console.url == f"{live.url}{ADMIN}?window=15m"
    press_until(console, "Tab", "#dashboard-pause")
    console.keyboard.press("Space")
    expect(console.locator("#dashboard-status")).to_have_text("Paused")
    requests: list[str] = []
    console.on("request", lambda request: requests.append(request.url))
    console.clock.run_for(VERY_LONG_MS)
    assert requests == []
    console.keyboard.press("Space")
    expect(console.locator("#dashboard-status")).to_have_text("Refreshed every 5 seconds")
    expect(console.locator("#dashboard-pause")).to_be_focused()
    press_until(console, "Tab", "#dashboard-table summary")
    console.keyboard.press("Enter")
    expect(console.locator("#dashboard-table tbody tr")).to_have_count(30)


def test_why_a_thread_is_blocked_and_what_waits_behind_it(
    console: Page, live: RunningServer, api: Any, gates: Gates
) -> None:
    scene = Scene(api, gates, waiting=2)
    console.goto(live.url + THREADS)
    line = console.locator("#result_list tr", has_text=scene.thread)
    expect(line).to_contain_text(f"running …{scene.runs[0][-12:]}")
    expect(line.locator(".field-queue_length")).to_have_text("2")
    line.get_by_role("link", name=scene.thread).click()

    expect(console.locator("#obstacle")).to_have_text("A run executes; one thread executes one run at a time.")
    facts = console.locator("#live .console-facts")
    expect(facts).to_contain_text(scene.runs[0])
    expect(facts.get_by_role("link", name=re.compile(rf"^{HOST}:\d+$"))).to_be_visible()
    expect(console.locator("#queue tbody th")).to_have_text(scene.runs[1:])
    follow(console.locator(f"#live a[href*='{scene.runs[0]}']"))
    console.click("#cancel-run")
    confirm(console, "it is in the way")
    close(console, "1 run cancelled")
    console.go_back()
    expect(console.locator("#queue tbody th")).to_have_text(
        scene.runs[2:]
    )  # by itself: what was behind it is in the way
    expect(facts).to_contain_text(scene.runs[1])
    gates.open(0)
    expect(console.locator("#obstacle")).to_contain_text("It is not blocked")
    expect(console.locator("#live .console-head")).to_contain_text("idle")


def test_the_list_of_threads_changes_by_itself_and_stands_still_while_paused(
    console: Page, live: RunningServer, api: Any, gates: Gates
) -> None:
    scene = Scene(api, gates, waiting=1)
    console.clock.install()
    console.goto(f"{live.url}{THREADS}?q={scene.thread}")
    waiting = console.locator("#result_list .field-queue_length")
    expect(waiting).to_have_text("1")
    link = console.locator("#result_list th a")
    link.focus()
    api.runs.create(scene.thread, "steps", input={"count": 1}, multitask_strategy="enqueue")
    expect(waiting).to_have_text("2")
    expect(link).to_be_focused()
    console.click("[data-pause]")
    requests: list[str] = []
    console.on("request", lambda request: requests.append(request.url))
    gates.open(0)
    for run in api.runs.list(scene.thread):
        api.runs.join(scene.thread, run["run_id"])
    console.clock.run_for(VERY_LONG_MS)
    assert requests == []
    expect(waiting).to_have_text("2")
    console.click("[data-pause]")
    expect(waiting).to_have_text("0")
    expect(console.locator("#result_list .field-shown_status")).to_have_text("idle")


def test_workers_and_schedulers_and_what_they_do(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    console.goto(f"{live.url}{WORKERS}?state=alive")
    line = console.locator("#result_list tbody tr")
    expect(line).to_have_count(1)
    expect(line.locator(".field-state")).to_have_text("alive")
    expect(line.locator(".field-host")).to_have_text(re.compile(rf"^{HOST}:\d+$"))
    scheduler = console.locator("tr[data-scheduler]")
    expect(scheduler).to_have_count(1)
    expect(scheduler).to_have_text(re.compile(rf"^{HOST}:\d+\s*\d\.\d s ago\s*the database$"))

    scene = Scene(api, gates)
    executes = line.locator(".field-executes")
    expect(executes).to_contain_text(f"steps …{scene.runs[0][-12:]} for ")
    executes.get_by_role("link", name=scene.runs[0][-12:]).click()
    expect(console.locator(".console-head h2")).to_have_text(scene.runs[0])
    console.go_back()
    gates.open(0)
    expect(executes).not_to_contain_text(scene.runs[0][-12:])


def test_threads_and_workers_by_keyboard_alone(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    console.goto(live.url + THREADS)
    console.keyboard.press("/")
    console.keyboard.type(scene.thread)
    console.keyboard.press("Enter")
    expect(console.locator("#result_list tbody tr")).to_have_count(1)
    press_until(console, "Tab", "#result_list th a")
    console.keyboard.press("Enter")
    expect(console.locator("#obstacle")).to_contain_text("A run executes")
    press_until(console, "Tab", "#live a[href*='/runs/worker/']")
    console.keyboard.press("Enter")
    expect(console.get_by_text("Places taken")).to_be_visible()
    expect(console.get_by_role("link", name=f"steps …{scene.runs[0][-12:]}")).to_be_visible()


def test_an_id_leads_to_its_page_from_anywhere(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    console.goto(live.url + WORKERS)
    console.keyboard.press("Control+k")
    expect(console.locator("#search-input-command")).to_be_focused()
    console.keyboard.type(scene.runs[0])
    expect(console.locator("#command-results-list a")).to_contain_text(f"Run {scene.runs[0]}")
    console.keyboard.press("Enter")
    expect(console.locator(".console-head h2")).to_have_text(scene.runs[0])


def test_enter_waits_for_the_first_result_and_opens_nothing_without_one(
    console: Page, live: RunningServer, api: Any
) -> None:
    """The key comes long before the answer; the browser must not complain about a result that is not there."""
    thread = api.threads.create()["thread_id"]
    console.goto(live.url + WORKERS)
    console.keyboard.press("Control+k")
    expect(console.locator("#search-input-command")).to_be_focused()
    console.keyboard.press("Enter")
    console.keyboard.insert_text("nothing")
    with console.expect_response("**/admin/search/**"):
        console.keyboard.press("Enter")
    console.keyboard.press("Enter")
    assert console.url == live.url + WORKERS
    console.fill("#search-input-command", thread)
    console.keyboard.press("Enter")
    console.wait_for_url(f"{live.url}{THREADS}{thread}/change/")


@pytest.mark.usefixtures("viewer")
def test_a_viewer_sees_threads_and_workers(page: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    log_in(page, live, VIEWER, VIEWERS_PASSWORD)
    for address in (ADMIN, THREADS, f"{THREADS}{scene.thread}/change/", WORKERS):
        assert page.goto(live.url + address).status == 200  # type: ignore[union-attr]
        assert page.locator("[data-act], #act, [name=_save], .deletelink, .addlink").count() == 0, address
    for model in ("checkpoint", "runevent", "apikey", "idempotencykey"):
        assert page.goto(f"{live.url}/admin/runs/{model}/").status == 403  # type: ignore[union-attr]


PAGES = (
    *("/admin/runs/run/", "/admin/runs/run/?status=active&strategy=reject", "/admin/runs/run/?q=(a)", "{run}change/"),
    *("{run}change/?tab=timeline", "{run}change/?tab=events", "{run}change/?tab=data", "{run}change/?tab=thread"),
    *("{run}change/?tab=stream", "{run}change/?tab=raw"),
    *(ADMIN, THREADS, "{thread}change/", WORKERS, "{worker}change/"),
    *("/admin/runs/checkpoint/", "/admin/runs/runevent/", "/admin/runs/apikey/", "/admin/runs/idempotencykey/"),
    *("/admin/auth/user/", "/admin/login/"),
)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_is_accessible_and_fits(
    browser: Browser, live: RunningServer, api: Any, scheme: Any, width: int
) -> None:
    thread = api.threads.create()["thread_id"]
    failed = api.runs.create(thread, "failing", input={"message": "no such page"})["run_id"]
    api.runs.join(thread, failed)
    context = browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    log_in(page, live)
    page.goto(live.url + WORKERS)
    worker = page.locator("#result_list tbody th a").first.get_attribute("href")
    places = {"run": f"/admin/runs/run/{failed}/", "thread": f"{THREADS}{thread}/"}
    places["worker"] = str(worker).split("change")[0]
    found: dict[str, list[str]] = {}
    for each in PAGES:
        page.goto(live.url + each.format(**places))
        assert page.evaluate("document.documentElement.classList.contains('dark')") is (scheme == "dark")
        found[each] = serious(page)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found[each].append("it is wider than the window")
    page.goto(f"{live.url}/admin/runs/run/{failed}/change/")
    page.click("#retry-run")
    expect(page.locator("#act [data-confirm]")).to_be_enabled()
    found["dialog"] = serious(page)
    context.close()
    assert {address: what for address, what in found.items() if what} == {}


def test_what_is_not_accessible_is_found(page: Page) -> None:
    """The negative control of the test above."""
    page.set_content(
        '<html lang="en"><title>x</title><main><button></button><p style="color:#ccc">pale</p></main></html>'
    )
    assert sorted(found.split(":")[0] for found in serious(page)) == ["button-name", "color-contrast"]
