"""What the web process refuses before Django sees it: nothing of it reaches the disk or a view."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
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

    def headers(self) -> dict[str, str]:
        """Those of the answer, by their names in small letters."""
        return {name.decode().lower(): value.decode() for name, value in self.sent[0]["headers"]}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def reader(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body to its end, as Django does, and answers."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})


def ask(server: Server, **scope: Any) -> None:
    headers = [(b"host", b"localhost"), *scope.pop("headers", [])]
    asked = {"type": "http", "method": "POST", "path": "/threads", "headers": headers, **scope}
    async_to_sync(guarded(reader))(asked, server.receive, server.send)


@pytest.fixture(autouse=True)
def open_connection() -> Iterator[None]:
    """A request closes its thread's connection, which here has the test's transaction; as Django's own client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(autouse=True)
def limit(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_BODY_BYTES": 100}


def test_a_body_within_the_limit_is_delivered() -> None:
    server = Server(b"x" * 60, b"x" * 40)
    ask(server, headers=[(b"content-length", b"100")])
    assert [message["status"] for message in server.sent] == [204]


ANNOUNCED = (b"content-length", b"101")


@pytest.mark.parametrize(("headers", "delivered"), [([ANNOUNCED], 0), ([], 2)])
def test_a_body_over_the_limit_is_not_read_to_its_end(headers: list[tuple[bytes, bytes]], delivered: int) -> None:
    server = Server(b"x" * 60, b"x" * 60, b"x" * 60)
    ask(server, headers=headers)
    start, body = server.sent
    assert (start["status"], server.delivered) == (413, delivered)
    problem = json.loads(body["body"])
    assert (problem["code"], problem["instance"]) == ("body_too_large", "/threads")
    assert "100 bytes" in problem["detail"]


def test_a_refusal_is_an_answer_like_every_other() -> None:
    """It names the request, and asks for the end of the connection, on which the body is still to come."""
    server = Server(b"x" * 60)
    ask(server, headers=[ANNOUNCED, (b"x-request-id", b"mine")])
    assert server.headers()["x-request-id"] == "mine"
    assert server.headers()["connection"] == "close"
    assert server.headers()["content-type"] == "application/problem+json"
    other = Server(b"x" * 60)
    ask(other, headers=[ANNOUNCED])
    assert other.headers()["x-request-id"] not in ("", "mine")


@pytest.mark.parametrize(("origin", "allowed"), [("https://app.example", True), ("https://elsewhere.example", False)])
def test_a_page_of_an_allowed_origin_may_read_a_refusal(settings: Settings, origin: str, allowed: bool) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    server = Server(b"x" * 60)
    ask(server, headers=[ANNOUNCED, (b"origin", origin.encode())])
    assert server.sent[0]["status"] == 413
    assert server.headers().get("access-control-allow-origin") == (origin if allowed else None)
    assert ("x-request-id" in server.headers().get("access-control-expose-headers", "")) is allowed


def test_a_websocket_is_refused() -> None:
    server = Server()
    ask(server, type="websocket")
    assert server.sent == [{"type": "websocket.close"}]
