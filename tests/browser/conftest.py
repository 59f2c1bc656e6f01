"""A headless Chromium in front of a whole server."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from playwright.sync_api import Browser, ConsoleMessage, Page, StorageState, sync_playwright

from project.local.ports import LOOPBACK, free_port
from project.local.running import RunningServer, running_server
from tests.browser.console import VIEWER, VIEWERS_PASSWORD
from tests.browser.console import log_in as log_in_to_console
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
def complaints() -> list[str]:
    """What the browser had to complain about: errors of scripts, and violations of the page's security policy."""
    return []


@contextmanager
def tab(browser: Browser, complaints: list[str], kept: StorageState | None = None) -> Iterator[Page]:
    """A tab of a visitor with nothing but these cookies and choices."""
    context = browser.new_context(viewport={"width": 1200, "height": 850}, storage_state=kept)
    context.set_default_timeout(PATIENCE_MS)

    def heed(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # a refusal by the API
            complaints.append(message.text)

    with closing(context):
        page = context.new_page()
        page.on("console", heed)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """The tab of a visitor without cookies."""
    with tab(browser, complaints) as page:
        yield page


@pytest.fixture(scope="package")
def logged_in(browser: Browser, live: RunningServer) -> StorageState:
    """What the operator's browser keeps; whose pages are refreshed as often as can be chosen, so no test waits long."""
    with tab(browser, []) as page:
        log_in_to_console(page, live)
        page.select_option("[data-every]", "1")
        return page.context.storage_state()


@pytest.fixture
def operators_page(browser: Browser, complaints: list[str], logged_in: StorageState) -> Iterator[Page]:
    """The operator's tab; it must not have complained when the test is over."""
    with tab(browser, complaints, logged_in) as page:
        yield page
        assert complaints == []


def log_in(page: Page, url: str, server: RunningServer) -> None:
    """Go to the playground as somebody who is not logged in: by way of the login."""
    page.goto(f"{url}/playground/")
    page.fill("#id_username", "operator")
    page.fill("#id_password", server.home.values()["RUNYARD_ADMIN_PASSWORD"])
    page.click("[type=submit]")
    page.wait_for_selector("#start:enabled")


@pytest.fixture
def api(live: RunningServer) -> Iterator[Any]:
    """The API, as a client of somebody's uses it."""
    with get_sync_client(url=live.url, api_key=live.api_key) as client:
        yield client


@pytest.fixture
def console(operators_page: Page, live: RunningServer) -> Page:
    """The list of runs, as the operator sees it."""
    operators_page.goto(f"{live.url}/admin/runs/run/")
    return operators_page


@pytest.fixture(scope="package")
def viewer(live: RunningServer) -> None:
    """A user of the admin who may see runs, threads and workers, and nothing else."""
    seen = ["view_run", "view_thread", "view_worker"]
    script = (
        "from django.contrib.auth.models import User, Permission\n"
        f"user = User.objects.create_user({VIEWER!r}, password={VIEWERS_PASSWORD!r}, is_staff=True)\n"
        f"user.user_permissions.set(Permission.objects.filter(codename__in={seen!r}))"
    )
    environment = {**os.environ, "RUNYARD_HOME": str(live.home.path)}
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CELERY_BROKER_URL"):
        environment.pop(name, None)
    subprocess.run([sys.executable, "manage.py", "shell", "-c", script], check=True, env=environment)
