"""Whose turn it is: as many views at a time as there are connections, and those at once that ask whether we live."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import RequestAborted
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from project.handler import OneThreadHandler
from runs.api import request_threads, turns
from runs.api.request_threads import request_thread


class Views:
    """Views that answer when the test lets them; what has begun, in order. `generous`: they wait without their turn."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.executing: list[str] = []
        self.most = 0
        self.go_on = threading.Event()
        self.generous = False

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Instead of the chain of middleware and the view."""
        self.begun.append(request.path)
        self.executing.append(request.path)
        self.most = max(self.most, len(self.executing))
        if self.generous:
            turns.give_back_turn()
        assert self.go_on.wait(30)
        self.executing.remove(request.path)
        return HttpResponse()


@pytest.fixture
def views() -> Iterator[Views]:
    """None is left waiting."""
    views = Views()
    yield views
    views.go_on.set()


async def until(views: Views, count: int) -> None:
    async with asyncio.timeout(30):
        while len(views.begun) < count:
            await asyncio.sleep(0.002)


async def ask(handler: OneThreadHandler, path: str) -> int:
    async with request_thread():
        return (await handler.get_response_async(RequestFactory().get(path))).status_code


def make_handler(views: Views, connections: int | None = 2) -> OneThreadHandler:
    made = OneThreadHandler(connections)
    made.get_response = views  # type: ignore[method-assign]
    return made


async def let_the_loop_run() -> None:
    """Everything has its turn that only waits for the loop: a request that may begin reaches its thread."""
    for _ in range(20):
        await asyncio.sleep(0)


async def begin(made: OneThreadHandler, views: Views, *paths: str) -> "list[asyncio.Task[int]]":
    """Ask for all of them; returns when whatever may begin has begun."""
    asked = [asyncio.create_task(ask(made, path)) for path in paths]
    await let_the_loop_run()
    await until(views, 2)
    return asked


def test_others_wait_for_their_turn_in_order_and_probes_do_not(views: Views) -> None:
    async def run() -> list[int]:
        asked = await begin(make_handler(views), views, "/threads/1", "/threads/2", "/threads/3", "/ok", "/health/live")
        await until(views, 4)
        assert sorted(views.begun) == ["/health/live", "/ok", "/threads/1", "/threads/2"]
        views.go_on.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(run()) == [200] * 5
    assert views.begun[-1] == "/threads/3"


def test_who_has_waited_too_long_goes_on(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.01)

    async def run() -> list[int]:
        asked = await begin(make_handler(views), views, "/threads/1", "/threads/2", "/threads/3")
        await until(views, 3)
        views.go_on.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(run()) == [200] * 3


def test_who_leaves_while_waiting_takes_no_turn(views: Views) -> None:
    async def run() -> list[int]:
        first, second, third = await begin(make_handler(views), views, "/threads/1", "/threads/2", "/threads/3")
        third.cancel()
        await asyncio.wait({third})
        views.go_on.set()
        return list(await asyncio.gather(first, second))

    assert asyncio.run(run()) == [200] * 2
    assert sorted(views.begun) == ["/threads/1", "/threads/2"]


def test_who_leaves_does_not_take_the_turn_of_a_view_that_goes_on(views: Views) -> None:
    """A turn stands for a connection, which the view keeps, whether or not its client is there."""

    async def run() -> list[int]:
        made = make_handler(views)
        first, second, third = await begin(made, views, "/threads/1", "/threads/2", "/threads/3")
        first.cancel()
        await asyncio.wait({first})
        await let_the_loop_run()
        assert made._turns is not None
        assert made._turns._free.locked()
        assert sorted(views.begun) == ["/threads/1", "/threads/2"]
        views.go_on.set()
        return list(await asyncio.gather(second, third))

    assert asyncio.run(run()) == [200] * 2
    assert (views.begun[-1], views.most) == ("/threads/3", 2)


def test_who_leaves_before_the_view_begins_gives_the_turn_back_and_the_view_does_not_begin(views: Views) -> None:
    async def run() -> int:
        made = make_handler(views, 1)
        assert made._turns is not None
        async with made._turns.one():
            late = contextvars.copy_context()
        with pytest.raises(RequestAborted):
            late.run(made._get_response_in_turn, RequestFactory().get("/threads/1"))
        views.go_on.set()
        return await ask(made, "/threads/2")

    assert asyncio.run(run()) == 200
    assert views.begun == ["/threads/2"]


def test_without_a_pool_nobody_waits(views: Views) -> None:
    async def run() -> list[int]:
        made = make_handler(views, None)
        asked = await begin(made, views, "/threads/1", "/threads/2", "/threads/3")
        await until(views, 3)
        views.go_on.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(run()) == [200] * 3


def test_who_waits_for_something_else_lets_others_begin(views: Views) -> None:
    """And gives back one turn, whatever it does after that."""
    views.generous = True

    async def run() -> list[int]:
        made = make_handler(views)
        asked = await begin(made, views, "/threads/1", "/threads/2", "/threads/3")
        await until(views, 3)
        views.go_on.set()
        answers = await asyncio.gather(*asked)
        views.generous = False
        views.go_on.clear()
        asked = await begin(made, views, "/threads/4", "/threads/5", "/threads/6")
        await until(views, 5)
        assert len(views.begun) == 5
        views.go_on.set()
        return answers + list(await asyncio.gather(*asked))

    assert asyncio.run(run()) == [200] * 6


@pytest.mark.parametrize("connections", [None, 2])
@pytest.mark.parametrize(("answer", "kept"), [(HttpResponse(), True), (StreamingHttpResponse(), False)])
def test_a_stream_does_not_keep_what_only_its_view_has_asked(
    answer: HttpResponseBase, kept: bool, connections: int | None
) -> None:
    made = OneThreadHandler(connections)
    made.get_response = lambda request: answer  # type: ignore[method-assign]
    request = RequestFactory().get("/threads", headers={"X-Long": "x" * 1000})
    request.user = AnonymousUser()

    async def serve() -> HttpResponseBase:
        async with request_thread():
            return await made.get_response_async(request)

    assert asyncio.run(serve()) is answer
    assert ("HTTP_X_LONG" in request.META, hasattr(request, "user")) == (kept, kept)


class Client:
    """What a server tells of a client that sends a request without a body, and may leave."""

    def __init__(self, path: str = "/threads") -> None:
        self.scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        self.sent: list[Any] = []
        self.leaves = asyncio.Event()
        self._has_asked = False

    async def receive(self) -> Any:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.fixture
def signals() -> Iterator[list[tuple[str, threading.Thread]]]:
    """Which of Django's signals were sent, and in which thread; without what they do to the test's connection."""
    seen: list[tuple[str, threading.Thread]] = []

    def began(**_: Any) -> None:
        seen.append(("started", threading.current_thread()))

    def ended(**_: Any) -> None:
        seen.append(("finished", threading.current_thread()))

    with contextlib.ExitStack() as stack:
        for signal, note in ((request_started, began), (request_finished, ended)):
            signal.connect(note)
            stack.callback(signal.disconnect, note)
            signal.disconnect(close_old_connections)
            stack.callback(signal.connect, close_old_connections)
        yield seen


def test_a_request_takes_one_thread_once_and_sends_its_signals_without(
    views: Views, signals: list[tuple[str, threading.Thread]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_threads, "_idle", [])
    views.go_on.set()

    async def serve() -> list[Any]:
        client = Client()
        await make_handler(views)(client.scope, client.receive, client.send)
        return client.sent

    sent = asyncio.run(serve())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    here = threading.current_thread()
    assert signals == [("started", here), ("finished", here)]
    assert (views.begun, len(request_threads._idle)) == (["/threads"], 1)


def test_the_request_of_a_client_that_leaves_ends_and_its_thread_is_lent_when_the_view_is_over(
    views: Views, signals: list[tuple[str, threading.Thread]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_threads, "_idle", [])

    async def serve() -> list[Any]:
        client = Client()
        request = asyncio.create_task(make_handler(views)(client.scope, client.receive, client.send))
        await until(views, 1)
        client.leaves.set()
        await request
        assert request_threads._idle == []
        views.go_on.set()
        async with asyncio.timeout(30):
            while not request_threads._idle:
                await asyncio.sleep(0.002)
        return client.sent

    assert asyncio.run(serve()) == []
    assert [name for name, _ in signals] == ["started", "finished"]


def test_a_request_that_cannot_be_read_is_refused_and_finished(
    views: Views, signals: list[tuple[str, threading.Thread]]
) -> None:
    async def serve() -> list[Any]:
        client = Client()
        made = make_handler(views)
        made.create_request = lambda scope, body: (None, HttpResponse(status=400))  # type: ignore[assignment,method-assign]
        await made(client.scope, client.receive, client.send)
        return client.sent

    assert asyncio.run(serve())[0]["status"] == 400
    assert ([name for name, _ in signals], views.begun) == (["started", "finished"], [])
