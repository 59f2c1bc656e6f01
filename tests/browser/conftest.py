"""A headless Chromium in front of a whole server."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from project.local.ports import LOOPBACK, free_port
from project.local.running import RunningServer, running_server
from tests.contract.assistants import registrations
from tests.contract.conftest import gates

__all__ = ["gates"]

PATIENCE_MS = 20_000


@pytest.fixture(scope="package")
def other_origin() -> str:
    """Where a page of somebody else's will be served, which may call the API."""
    return f"http://{LOOPBACK}:{free_port()}"


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory, other_origin: str) -> Iterator[RunningServer]:
    """Up until the last of these tests."""
    environment = {"RUNYARD_ASSISTANTS": registrations(), "CORS_ALLOWED_ORIGINS": other_origin}
    with running_server(tmp_path_factory.mktemp("live"), environment=environment) as server:
        yield server


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or the one that CHROMIUM names; that there is none is a failure and not a skip."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("Chromium is not installed (Debian: apt install chromium), and CHROMIUM does not name one.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor without cookies."""
    context = browser.new_context(viewport={"width": 1200, "height": 850})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser had to complain about: errors of scripts, and violations of the page's security policy."""
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Page:
    """A tab."""
    page = context.new_page()

    def heed(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # a refusal by the API
            complaints.append(message.text)

    page.on("console", heed)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def log_in(page: Page, url: str, server: RunningServer) -> None:
    """Go to the playground as somebody who is not logged in: by way of the login."""
    page.goto(f"{url}/playground/")
    page.fill("#id_username", "operator")
    page.fill("#id_password", server.home.values()["RUNYARD_ADMIN_PASSWORD"])
    page.click("[type=submit]")
    page.wait_for_selector("#start:enabled")
