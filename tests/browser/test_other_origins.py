"""What a browser lets a page of another origin do with the API."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from project.local.ports import LOOPBACK
from project.local.running import RunningServer

pytestmark = pytest.mark.timeout(240)

#: Create a thread, stream a run on it, join it; what a chat page does, and reads.
_CHAT = """async ({ url, key }) => {
  const ask = (path, body, headers) => fetch(url + path, {
    method: body ? "POST" : "GET",
    headers: { "x-api-key": key, "content-type": "application/json", ...headers },
    body: body && JSON.stringify(body),
  });
  const thread = (await (await ask("/threads", {})).json()).thread_id;
  const stream = await ask(`/threads/${thread}/runs/stream`, { assistant_id: "steps", input: { count: 1 } });
  const [where, again] = [stream.headers.get("content-location"), stream.headers.get("location")];
  const events = (await stream.text()).match(/(?<=event: )\\w+/g);
  const rest = await ask(again, null, { "last-event-id": "1-0" });
  const found = await ask("/threads/search", { limit: 1 });
  return {
    thread, where, again, events,
    rest: (await rest.text()).match(/(?<=event: )\\w+/g),
    total: found.headers.get("x-pagination-total"),
  };
}"""


#: Send more than the server takes; what the page can read of the refusal.
_TOO_MUCH = """async ({ url, key, bytes }) => {
  const answer = await fetch(url + "/threads", {
    method: "POST",
    headers: { "x-api-key": key, "content-type": "application/json" },
    body: JSON.stringify({ metadata: { text: "x".repeat(bytes) } }),
  });
  return { status: answer.status, id: answer.headers.get("x-request-id"), code: (await answer.json()).code };
}"""


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>somebody else's</title>")

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@pytest.fixture
def serve() -> Iterator[Any]:
    """Serves an empty page on a port."""
    servers: list[ThreadingHTTPServer] = []

    def serve(port: int) -> str:
        server = ThreadingHTTPServer((LOOPBACK, port), _EmptyPage)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://{LOOPBACK}:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_page_of_an_allowed_origin_can_do_what_a_chat_page_does(
    page: Page, live: RunningServer, other_origin: str, serve: Any
) -> None:
    page.goto(serve(int(urlsplit(other_origin).port or 0)))
    seen = page.evaluate(_CHAT, {"url": live.url, "key": live.api_key})

    assert seen["where"].startswith(f"/threads/{seen['thread']}/runs/")
    assert seen["again"] == f"{seen['where']}/stream?cancel_on_disconnect=1"
    assert seen["events"] == ["metadata", "values", "end"]
    assert seen["rest"] == ["values", "end"]
    assert int(seen["total"]) >= 1


@pytest.mark.parametrize("megabytes", [5, 50])
def test_a_page_of_an_allowed_origin_can_read_that_it_has_sent_too_much(
    page: Page, live: RunningServer, other_origin: str, serve: Any, megabytes: int
) -> None:
    page.goto(serve(int(urlsplit(other_origin).port or 0)))
    seen = page.evaluate(_TOO_MUCH, {"url": live.url, "key": live.api_key, "bytes": megabytes * 1024 * 1024})

    assert (seen["status"], seen["code"]) == (413, "body_too_large")
    assert seen["id"]


def test_a_page_of_any_other_origin_is_stopped_by_the_browser(page: Page, live: RunningServer, serve: Any) -> None:
    page.goto(serve(0))

    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate(_CHAT, {"url": live.url, "key": live.api_key})
