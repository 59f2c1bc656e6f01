"""An answer that goes on: sent as it comes, ended by its client, and nothing of its request is kept for it."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from rest_framework.request import Request

from project.handler import OneThreadHandler
from runs.api.sending import Last, WhileThere, send_all, send_beginning
from runs.api.view import ApiView

SCOPE = {"type": "http", "method": "GET", "path": "/threads", "query_string": b"", "headers": [(b"x-long", b"x" * 100)]}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
LAST = {"type": "http.response.body"}


class Client:
    """The server's side of one client: stays until it leaves, and has what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.has_part, self.has_left = asyncio.Event(), asyncio.Event()
        self._requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Any:
        if self._requests:
            return self._requests.pop()
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append({**message})
        if message == PART:
            self.has_part.set()


class Content:
    """One part, and then nothing; how it has ended."""

    def __init__(self, *, swallows: bool = False) -> None:
        self.ended_by: type[BaseException] | None = None
        self._swallows = swallows

    async def __call__(self) -> Any:
        try:
            yield b"part"
            await asyncio.Event().wait()
        except BaseException as error:
            self.ended_by = type(error)
            if not self._swallows:
                raise


async def send_while_there(content: Any, receive: Any, send: Any) -> None:
    """As a handler does whose view has answered."""
    async with WhileThere(receive) as there:
        there.listen()
        await send_all(content, send)


async def left_alone(client: Client) -> None:
    """Wait until the listener that was told to stop has stopped: only this task is left."""
    async with asyncio.timeout(30):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)


@pytest.mark.parametrize("swallows", [False, True])
def test_a_client_that_leaves_ends_the_content_where_it_waits(swallows: bool) -> None:
    async def run() -> None:
        client, content = Client(), Content(swallows=swallows)
        sending = asyncio.create_task(send_while_there(content(), client.receive, client.send))
        await client.has_part.wait()
        client.has_left.set()
        await sending
        assert (content.ended_by, sending.cancelling()) == (asyncio.CancelledError, 0)
        assert client.sent == [PART, LAST] if swallows else [PART]
        await left_alone(client)

    asyncio.run(run())


def test_a_client_that_leaves_while_it_is_sent_to_closes_the_content() -> None:
    async def run() -> None:
        client, content = Client(), Content()
        sent_to = asyncio.Event()

        async def never_sent(message: Any) -> None:
            sent_to.set()
            await asyncio.Event().wait()

        sending = asyncio.create_task(send_while_there(content(), client.receive, never_sent))
        await sent_to.wait()
        client.has_left.set()
        await sending
        assert content.ended_by is GeneratorExit

    asyncio.run(run())


def test_a_server_that_cancels_is_not_taken_for_a_client_that_leaves() -> None:
    async def run() -> None:
        client, content = Client(), Content()
        sending = asyncio.create_task(send_while_there(content(), client.receive, client.send))
        await client.has_part.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert content.ended_by is asyncio.CancelledError
        await left_alone(client)

    asyncio.run(run())


async def complete() -> AsyncIterator[bytes]:
    yield b"part"


async def cut() -> AsyncIterator[bytes]:
    yield b"part"
    raise asyncio.CancelledError


async def broken() -> AsyncIterator[bytes]:
    yield b"part"
    raise ZeroDivisionError


@pytest.mark.parametrize(("content", "end"), [(complete, [LAST]), (cut, []), (broken, [])])
def test_only_what_is_complete_is_said_to_be(content: Any, end: list[Any]) -> None:
    async def run() -> None:
        client = Client()
        client._requests.clear()
        try:
            await send_while_there(content(), client.receive, client.send)
        except ZeroDivisionError:
            assert content is broken
        assert client.sent == [PART, *end]
        await left_alone(client)

    asyncio.run(run())


def test_cookies_are_sent_with_the_headers() -> None:
    response = StreamingHttpResponse(complete(), status=201, headers={"X-Name": "\xe9"})
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    client = Client()
    asyncio.run(send_beginning(response, client.send))
    [start] = client.sent
    assert (start["type"], start["status"]) == ("http.response.start", 201)
    assert (b"X-Name", b"\xe9") in start["headers"]
    cookies = [value for name, value in start["headers"] if name == b"Set-Cookie"]
    assert cookies == [b"first=1; Path=/", b"second=2; Path=/"]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is gone within has not waited for it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Streams(ApiView):
    """Answers anybody with a stream."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> StreamingHttpResponse:
        return StreamingHttpResponse(complete())


@pytest.mark.usefixtures("no_collector")
def test_a_view_that_has_answered_does_not_keep_its_request() -> None:
    request = RequestFactory().get("/")
    kept, answer = weakref.ref(request), Streams.as_view()(request)
    del request
    assert (answer.status_code, kept()) == (200, None)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.django_db(transaction=True)
def test_when_the_first_part_is_sent_nothing_of_the_request_is_kept() -> None:
    kept: dict[str, Any] = {}

    def view(request: HttpRequest) -> StreamingHttpResponse:
        request.user = AnonymousUser()
        request._messages = request  # type: ignore[attr-defined] # as messages do, by a detour
        response = StreamingHttpResponse(Content()())
        kept.update(request=weakref.ref(request), response=weakref.ref(response), thread=threading.current_thread())
        return response

    async def run() -> None:
        client, scope = Client(), {**SCOPE, "headers": [*SCOPE["headers"]]}
        made = OneThreadHandler()
        made.get_response = view  # type: ignore[method-assign]
        serving = asyncio.create_task(made(scope, client.receive, client.send))
        await client.has_part.wait()
        async with asyncio.timeout(30):
            while kept["request"]() is not None or kept["response"]() is not None:
                await asyncio.sleep(0)  # the thread of the view has just let go of them, or is about to
        assert scope["headers"] == []
        assert len(asyncio.all_tasks()) == 3  # this one, the server's, and the one that listens
        client.has_left.set()
        await serving

    asyncio.run(run())


def serving(client: Any, view: Any) -> "asyncio.Task[None]":
    """A handler that serves one client with this view."""
    made = OneThreadHandler()
    made.get_response = view  # type: ignore[method-assign]
    return asyncio.create_task(made({**SCOPE, "headers": []}, client.receive, client.send))


class LeavesAtTheHeaders(Client):
    """Is told about once, that it leaves: in the moment in which it is sent the headers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_after = 0

    async def receive(self) -> Any:
        message = await super().receive()
        self.asked_after += message["type"] == "http.disconnect"
        return message

    async def send(self, message: Any) -> None:
        await super().send(message)
        self.has_left.set()
        while not self.asked_after:
            await asyncio.sleep(0)


@pytest.mark.django_db(transaction=True)
def test_a_client_that_leaves_at_the_headers_is_not_sent_what_comes() -> None:
    """A server need not say a second time that it has gone."""
    content = Content()

    async def run() -> list[Any]:
        client = LeavesAtTheHeaders()
        await serving(client, lambda _: StreamingHttpResponse(content()))
        assert client.asked_after == 1
        return client.sent

    assert [message["type"] for message in asyncio.run(run())] == ["http.response.start"]
    assert content.ended_by is None


@pytest.mark.django_db(transaction=True)
def test_a_server_that_cancels_a_request_ends_all_that_serves_it() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def view(_: HttpRequest) -> HttpResponse:
        begun.set()
        go_on.wait(30)
        return HttpResponse("late")

    async def run() -> list[Any]:
        client = Client()
        task = serving(client, view)
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0)
        return client.sent

    assert asyncio.run(run()) == []


def test_a_part_that_is_known_to_be_the_last_is_sent_with_the_end() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"part"
        yield Last(b"last")

    async def run() -> list[Any]:
        client = Client()
        await send_while_there(content(), client.receive, client.send)
        await left_alone(client)
        return client.sent

    assert asyncio.run(run()) == [PART, {"type": "http.response.body", "body": b"last", "more_body": False}]
