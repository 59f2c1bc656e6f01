"""How a person uses the operators' console: log in, look at a row, answer a dialog."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from project.local.running import RunningServer
from tests.contract.conftest import Gates

VIEWER, VIEWERS_PASSWORD = "viewer", "viewer-pw-1"
#: More than any interval after which a page asks for what is new.
VERY_LONG_MS = 150_000


class Scene:
    """One thread on which a run executes, held at a gate, and others wait behind it."""

    def __init__(self, api: Any, gates: Gates, waiting: int = 0, assistant: str = "steps") -> None:
        self.thread = api.threads.create()["thread_id"]
        given = {"count": 1, "gates": str(gates.directory)}
        self.runs = [
            api.runs.create(self.thread, assistant, input=given, multitask_strategy="enqueue")["run_id"]
            for _ in range(waiting + 1)
        ]

    @property
    def address(self) -> str:
        return f"/admin/runs/run/?thread={self.thread}"


def log_in(page: Page, live: RunningServer, name: str = "operator", password: str = "") -> None:
    """From the login to the list of runs; without a password as the operator that `make up` has made."""
    page.goto(f"{live.url}/admin/login/?next=/admin/runs/run/")
    page.fill("#id_username", name)
    page.fill("#id_password", password or live.home.values()["RUNYARD_ADMIN_PASSWORD"])
    page.click("form [type=submit]")
    page.wait_for_selector("#live")


def follow(link: Locator) -> None:
    """Click what leads to another page, and wait for that page's scripts: before they run its buttons do nothing."""
    with link.page.expect_event("domcontentloaded"):
        link.click()


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


def serious(page: Page) -> list[str]:
    """What axe-core finds serious or critical on the whole page: rule and place."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
