"""What the web process refuses before Django sees it: nothing of it reaches the disk or a view."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from pytest_django import Settings

from runs.api.edge import Message, Receive, Scope, Send, guarded


class Server:
    """The server's side of one request: what it delivers, and what it is told to send."""

    def __init__(self, *parts: bytes) -> None:
        last = len(parts) - 1
        self._parts = [{"type": "http.request", "body": part, "more_body": n < last} for n, part in enumerate(parts)]
        self.delivered = 0
        self.sent: list[Any] = []

    async def receive(self) -> Message:
        self.delivered += 1
        return self._parts[self.delivered - 1]

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def reader(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body to its end, as Django does, and answers."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})


def ask(server: Server, **scope: Any) -> None:
    asked = {"type": "http", "method": "POST", "path": "/threads", "headers": [], **scope}
    async_to_sync(guarded(reader))(asked, server.receive, server.send)


@pytest.fixture(autouse=True)
def limit(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_BODY_BYTES": 100}


def test_a_body_within_the_limit_is_delivered() -> None:
    server = Server(b"x" * 60, b"x" * 40)
    ask(server, headers=[(b"content-length", b"100")])
    assert [message["status"] for message in server.sent] == [204]


@pytest.mark.parametrize(("headers", "delivered"), [([(b"content-length", b"101")], 0), ([], 2)])
def test_a_body_over_the_limit_is_not_read_to_its_end(headers: list[tuple[bytes, bytes]], delivered: int) -> None:
    server = Server(b"x" * 60, b"x" * 60, b"x" * 60)
    ask(server, headers=headers)
    start, body = server.sent
    assert (start["status"], server.delivered) == (413, delivered)
    problem = json.loads(body["body"])
    assert (problem["code"], problem["instance"]) == ("body_too_large", "/threads")
    assert "100 bytes" in problem["detail"]


def test_a_websocket_is_refused() -> None:
    server = Server()
    ask(server, type="websocket")
    assert server.sent == [{"type": "websocket.close"}]
