"""The pictures in docs/: the console's pages on a server of their own, with runs to look at. `make pictures`."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from langgraph_sdk import get_sync_client
from playwright.sync_api import Browser, Page

from project.local.running import RunningServer, running_server
from tests.browser.conftest import PATIENCE_MS, chromium
from tests.browser.console import Scene, log_in
from tests.contract.conftest import Gates

ROOT = Path(__file__).resolve().parents[2]
ASSISTANTS = {"support": "steps", "billing": "failing", "research": "steps"}
WIDTH, HEIGHT = 1280, 760
#: Runs that are over, and how far apart they were, so that the charts have an hour to show.
FINISHED, APART = 120, "25 seconds"


def main() -> None:
    """Make all of them."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    names = ",".join(f"{name}=tests.contract.assistants:{of}" for name, of in ASSISTANTS.items())
    with tempfile.TemporaryDirectory(prefix="runyard-") as gates, _server(names) as live, chromium() as browser:
        scene, failed = _act(live, Gates(Path(gates)))
        for name, address, options in _pictures(scene, failed):
            _take(browser, live, directory / f"console-{name}.png", address, **options)


def _pictures(scene: Scene, failed: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, address, and how it is looked at."""
    runs = "/admin/runs/run/"
    yield "dashboard", "/admin/?window=1h", {"height": 1060}
    yield "runs", runs, {}
    yield "run", f"{runs}{failed}/change/", {}
    yield "thread", f"/admin/runs/thread/{scene.thread}/change/", {}
    yield "workers", "/admin/runs/worker/", {}
    yield "phone", f"{runs}?status=active", {"width": 390}
    yield "dark", f"{runs}{failed}/change/?tab=timeline", {"scheme": "dark"}


@contextmanager
def _server(names: str) -> Iterator[RunningServer]:
    environment = {"RUNYARD_ASSISTANTS": names, "WORKERS": "4", "RUNYARD_ENVIRONMENT": "production"}
    with running_server(environment=environment) as server:
        yield server


def _act(live: RunningServer, gates: Gates) -> tuple[Scene, str]:
    """An hour of runs in a minute; then a thread with a queue, and a run that has failed. Both are returned."""
    with get_sync_client(url=live.url, api_key=live.api_key) as api:
        for number in range(FINISHED):
            _finished(api, number)
        _change(live, _SPREAD)
        scene = Scene(api, gates, waiting=3, assistant="support")
        Scene(api, gates, assistant="research")
        thread = api.threads.create()["thread_id"]
        given = {"message": "the invoice 4711 has no recipient", "api_key": "sk-not-to-be-shown"}
        failed = api.runs.create(thread, "billing", input=given)["run_id"]
        api.runs.join(thread, failed)
        _change(live, f"UPDATE runs_run SET error = replace(error::text, '{ROOT}', '/srv/runyard')::jsonb")
    return scene, failed


def _finished(api: Any, number: int) -> None:
    assistant = "billing" if number % 12 == 5 else ("support", "research")[number % 2]
    thread = api.threads.create()["thread_id"]
    given = {"count": 1 + number % 3, "message": "no such invoice"}
    api.runs.wait(thread, assistant, input=given, raise_error=False)


#: What has ended is put further and further back, and has taken some time.
_SPREAD = f"""
    WITH placed AS (
        SELECT id, row_number() OVER (ORDER BY sequence DESC) * interval '{APART}' AS back,
            interval '1 second' * (0.05 + sequence * 37 % 17 / 10.0) AS waited,
            interval '1 second' * (1 + sequence * 53 % 41) AS took
        FROM runs_run WHERE finished_at IS NOT NULL
    )
    UPDATE runs_run run SET created_at = created_at - back - took - waited, started_at = created_at - back - took,
        finished_at = created_at - back FROM placed WHERE placed.id = run.id
"""


def _change(live: RunningServer, statement: str) -> None:
    with psycopg.connect(live.home.values()["DATABASE_URL"]) as database:
        database.execute(statement)


def _take(
    browser: Browser,
    live: RunningServer,
    file: Path,
    address: str,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    scheme: Any = "light",
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page: Page = context.new_page()
    log_in(page, live)
    page.goto(live.url + address)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file, animations="disabled")
    context.close()
    print(json.dumps({"picture": str(file), "bytes": file.stat().st_size, "at": time.strftime("%H:%M:%S")}))  # noqa: T201


if __name__ == "__main__":
    main()
