"""The operators' console in a browser, in front of real workers."""

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from project.local.running import RunningServer
from tests.browser.conftest import PATIENCE_MS
from tests.browser.console import (
    VERY_LONG_MS,
    VIEWER,
    VIEWERS_PASSWORD,
    Scene,
    close,
    confirm,
    expect_status,
    follow,
    log_in,
    row,
    serious,
)
from tests.contract.conftest import Gates

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=PATIENCE_MS)


def test_filter_bookmark_open_cancel_and_see_it_change(
    console: Page, live: RunningServer, api: Any, gates: Gates
) -> None:
    scene = Scene(api, gates, waiting=1)
    console.click("summary:text-is('Filters')")
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
    follow(console.locator(f"#run-{scene.runs[0]}"))
    expect(console.locator(".console-head h2")).to_have_text(scene.runs[0])
    console.click("#cancel-run")
    expect(console.locator("#act-reason")).to_have_value("cancelled by operator:operator")
    confirm(console, "the wrong document")
    close(console, "1 run cancelled")
    expect(console.locator(".console-head .is-interrupted")).to_be_visible()

    console.click("#tab-events")
    console.click("[data-back]")
    expect_status(console, scene.runs[0], "interrupted")
    assert console.url == f"{live.url}{scene.address}"
    expect(row(console, scene.runs[0])).to_contain_text("cancelled by operator:operator: the wrong document")
    expect_status(console, scene.runs[1], "running")
    gates.open(0)
    expect_status(console, scene.runs[1], "success")
    assert api.runs.get(scene.thread, scene.runs[0])["status"] == "interrupted"


def test_the_rows_stand_still_while_paused(console: Page, live: RunningServer, api: Any, gates: Gates) -> None:
    scene = Scene(api, gates)
    console.clock.install()
    console.goto(live.url + scene.address)
    expect_status(console, scene.runs[0], "running")
    console.click("[data-pause]")
    requests: list[str] = []
    console.on("request", lambda request: requests.append(request.url))
    gates.open(0)
    api.runs.join(scene.thread, scene.runs[0])
    console.clock.run_for(VERY_LONG_MS)
    assert requests == []
    expect_status(console, scene.runs[0], "running")
    console.click("[data-pause]")
    expect_status(console, scene.runs[0], "success")


def test_the_operator_chooses_how_often_the_rows_are_refreshed(console: Page, live: RunningServer) -> None:
    """By the browser's clock, which stands still but for what is said here."""
    console.clock.install(time=0)
    console.clock.pause_at(3600)  # it does not go back, so: later than it can be by now
    console.goto(f"{live.url}/admin/runs/run/")
    console.select_option("[data-every]", "15")
    requests: list[str] = []
    console.on("request", lambda request: requests.append(request.url))
    console.clock.run_for(14_999)
    assert requests == []
    with console.expect_request("**/admin/runs/run/rows/*"):
        console.clock.run_for(1)
    console.goto(f"{live.url}/admin/runs/thread/")
    expect(console.locator("[data-every]")).to_have_value("15")


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


def test_actions_and_pages_return_to_the_same_search(
    console: Page, live: RunningServer, api: Any, gates: Gates
) -> None:
    scene, other = Scene(api, gates, waiting=1), Scene(api, gates)
    search = f"status:running OR status:pending thread:{scene.thread}"
    console.fill("#q", search)
    console.press("#q", "Enter")
    words = f"Searching for status = running OR status = pending, AND thread = {scene.thread}."
    expect(console.locator("#understood")).to_have_text(words)
    expect_status(console, scene.runs[0], "running")
    address = console.url
    console.click("#all-cancel")
    confirm(console, words="2 runs")
    close(console, "2 runs cancelled")
    expect(console.locator(".console-empty")).to_have_text("No run matches this filter.")
    assert console.url == address
    expect(console.locator("#q")).to_have_value(search)
    assert api.runs.get(other.thread, other.runs[0])["status"] in ("pending", "running")

    console.fill("#q", f"-status:running thread:{scene.thread}")
    console.press("#q", "Enter")
    expect(console.locator("tr[data-run]")).to_have_count(2)
    address = console.url
    console.click(f"#run-{scene.runs[0]}")
    console.click("[data-back]")
    expect(console.locator("tr[data-run]")).to_have_count(2)
    assert console.url == address
    gates.open(0)


def test_a_view_is_saved_found_again_shared_and_deleted(console: Page, live: RunningServer) -> None:
    bare = f"{live.url}/admin/runs/run/"
    console.goto(f"{bare}?q=owner%3Aoperator+-status%3Asuccess")
    console.click("#save-view summary")
    console.fill("#view-name", "Not done")
    console.check("#save-view [name=shared]")
    for part in ("What can be searched for", "Filters"):
        console.click(f"summary:text-is('{part}')")
    assert serious(console) == []
    console.click("#save-view [value=save]")
    view = console.get_by_role("link", name="Not done shared")
    expect(view).to_have_attribute("aria-current", "page")
    address = console.url

    console.goto(bare)
    expect(console.locator("#q")).to_have_value("")
    console.click("#last-view")
    assert console.url == address
    console.goto(f"{bare}?status=error")
    view.click()
    assert console.url == address
    console.click("#own-views > summary")
    console.click("#own-views details summary")
    assert serious(console) == []
    console.click("#own-views [value=delete]")
    expect(view).to_have_count(0)
    assert console.url == address


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
    expect(console.locator("#act [data-understood]")).to_have_text(f"The filter: thread = {scene.thread}.")
    console.check("#act [value=rollback]")
    confirm(console, "cleaning up", words="4 runs")
    close(console, "4 runs cancelled")
    for run in scene.runs:
        expect_status(console, run, "interrupted")
    assert console.url == live.url + scene.address
    assert api.runs.get(other.thread, other.runs[0])["status"] in ("pending", "running")
    gates.open(0)


def test_many_go_in_portions_with_progress_and_a_button_that_stops(
    console: Page, live: RunningServer, api: Any
) -> None:
    """The button is pressed while the first portion of 100 is on its way: that is done, the rest is not asked for.

    The portion carries what the count said about up to where to look.
    """
    bound = "2000-01-01T00:00:00+00:00~1"
    later: dict[str, Any] = {"input": {"count": 1}, "multitask_strategy": "rollback", "after_seconds": 3600}
    for _ in range(101):
        api.runs.create(None, "steps", **later)
    held: list[Route] = []
    console.route("**/act/cancel/", lambda route: held.append(route))  # noqa: PLW0108 - it is given attributes
    console.route("**/act/cancel/count/", lambda route: route.fulfill(json={**route.fetch().json(), "bound": bound}))
    console.goto(f"{live.url}/admin/runs/run/?status=pending&strategy=rollback")
    console.click("#all-cancel")
    confirm(console, words="101 runs")
    expect(console.locator("#act progress")).to_have_attribute("max", "101")
    console.click("#act [data-stop]")
    for each in held:
        each.continue_()
    expect(console.locator("#act [data-result]")).to_have_text("Stopped: 100 runs cancelled.")
    assert console.locator("#act progress").evaluate("bar => bar.value") == 100
    close(console, "100 runs cancelled")
    expect(console.locator("#tab-pending .console-count")).to_have_text("1")
    assert len(held) == 1
    assert bound in (held[0].request.post_data or "")
    console.unroute("**/act/cancel/")
    console.click("#all-cancel")
    confirm(console, words="1 run")
    close(console, "1 run cancelled")


def test_a_run_is_copied_as_a_command(console: Page, live: RunningServer, api: Any) -> None:
    thread = api.threads.create()["thread_id"]
    run = api.runs.create(thread, "steps", input={"count": 1, "password": "hunter2"})["run_id"]
    api.runs.join(thread, run)
    console.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=live.url)
    console.goto(f"{live.url}/admin/runs/run/{run}/change/")
    console.click("#copy-curl")
    expect(console.locator("#copy-curl")).to_have_text("Copied")
    copied = console.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl \\\n  -X POST \\\n  {live.url}/threads/{thread}/runs \\\n")
    assert '"count": 1' in copied
    assert "hunter2" not in copied


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
    log_in(page, live, VIEWER, VIEWERS_PASSWORD)
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
