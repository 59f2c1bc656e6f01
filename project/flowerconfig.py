"""Flower's own configuration file, read by `celery flower --conf project/flowerconfig.py`.

Flower leaves /metrics open whatever the authentication; here it asks for the same account as every page. And a task's
page leads back to the run's in the console.
"""

import os
from pathlib import Path
from typing import Any

import tornado.web
from flower import urls
from flower.views.monitor import Metrics
from tornado.web import RequestHandler

#: Where operators' browsers find the console; empty: pages of tasks have no link to it.
CONSOLE_URL = os.environ.get("RUNYARD_CONSOLE_URL", "").rstrip("/")
EXECUTE_RUN = "runs.execute_run"
_LINK = '<dt>Run</dt><dd><a id="run" href="{url}">{url}</a></dd>'


class GuardedMetrics(Metrics):  # type: ignore[misc] # Flower has no types
    """The same numbers, for those who may see the pages."""

    @tornado.web.authenticated
    async def get(self) -> None:
        """Answer as Flower does."""
        await super().get()


def run_link(task: Any) -> str:
    """The row of a task's page that leads to its run; the id was checked: it is an id that Flower knows."""
    if not CONSOLE_URL or task.name != EXECUTE_RUN:
        return ""
    return _LINK.format(url=f"{CONSOLE_URL}/admin/runs/run/{tornado.escape.xhtml_escape(task.uuid)}/change/")


def _page_with_link(page: Path) -> str:
    """Flower's own page of a task with one more row, so that the rest of it stays the installed version's."""
    text, row = page.read_text(), '<div class="detail-row task-data-row">'
    return text.replace(row, f"{row}{{% raw getattr(task, 'run_link', '') %}}</div>\n      {row}", 1)


def _install() -> None:
    urls.handlers[:] = [
        (handler[0], GuardedMetrics) if isinstance(handler, tuple) and handler[1] is Metrics else handler
        for handler in urls.handlers
    ]


_install()
