"""Flower's own configuration file, read by `celery flower --conf project/flowerconfig.py`.

Flower leaves /metrics open whatever the authentication; here it asks for the same account as every page. And a task's
page leads back to the run's in the console.
"""

import os
from http import HTTPStatus
from pathlib import Path
from typing import Any

import tornado.web
from flower import urls
from flower.api import BaseApiHandler
from flower.views.monitor import Metrics
from tornado.escape import xhtml_escape
from tornado.template import Loader, Template

#: Where operators' browsers find the console; empty: pages of tasks have no link to it.
CONSOLE_URL = os.environ.get("RUNYARD_CONSOLE_URL", "").rstrip("/")
#: How the arguments of a run's task begin.
RUN = "(run "
#: What the list of tasks shows: with the thread, and with what the task's name is made of.
tasks_columns = "name,uuid,state,kwargs,received,started,runtime,worker"
_ROW = '<div class="detail-row task-data-row">'
_LINK = '<div class="detail-row task-data-row"><dt>Run</dt><dd><a id="run" href="{url}">{url}</a></dd></div>'


class GuardedMetrics(Metrics):  # type: ignore[misc] # Flower has no types
    """The same numbers, for those who may see the pages."""

    @tornado.web.authenticated
    async def get(self) -> None:
        """Answer as Flower does."""
        await super().get()


def run_link(task: Any) -> str:
    """The row of a task's page that leads to its run; none for other tasks."""
    if not CONSOLE_URL or not str(task.args).startswith(RUN):
        return ""
    return _LINK.format(url=xhtml_escape(f"{CONSOLE_URL}/admin/runs/run/{task.uuid}/change/"))


class Pages(Loader):
    """Flower's own pages, with one more row on that of a task: the rest of it stays the installed version's."""

    def _create_template(self, name: str) -> Template:
        text = Path(self.root, name).read_text()
        if name == "task.html":
            text = text.replace(_ROW, f"{{% raw run_link(task) %}}\n      {_ROW}", 1)
        return Template(text, name=name, loader=self)


urls.settings["template_loader"] = Pages(urls.settings["template_path"], namespace={"run_link": run_link})
urls.handlers[:] = [
    (handler[0], GuardedMetrics) if isinstance(handler, tuple) and handler[1] is Metrics else handler
    for handler in urls.handlers
]

_write_error = BaseApiHandler.write_error


def _ask_for_account(handler: Any, status_code: int, **details: Any) -> None:
    """A browser that has come by a link sends its account to other paths only when asked, and Flower's API does not
    ask: without this the buttons of a page that the console has linked to are refused."""
    if status_code == HTTPStatus.UNAUTHORIZED:
        handler.set_header("WWW-Authenticate", 'Basic realm="flower"')
    _write_error(handler, status_code, **details)


BaseApiHandler.write_error = _ask_for_account
