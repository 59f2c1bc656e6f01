"""How a request gets from the event loop to its view: in one step, when it is its turn."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from runs.api.request_threads import request_thread, serving_thread
from runs.api.sending import WhileThere, send_all, send_beginning
from runs.api.turns import Turns, view_of_turn

#: Answered whatever waits: who asks wants to know whether this process lives, and how it is.
AT_ONCE = re.compile(r"/(ok|metrics|health(/.*)?)$")
Content = AsyncGenerator[bytes, None]
#: What middleware and authentication have hung on a request.
_OF_VIEWS = {"headers", "session", "_messages", "user", "auser", "_cached_user", "resolver_match", "auth"}


class OneThreadHandler(ASGIHandler):
    """Serves a request, with all of its middleware, in one thread; only what is streamed comes from the event loop.

    Django's own handler keeps the chain of middleware in the event loop and leaves it for every `process_request` and
    `process_response`, more than a dozen times a request. All our views are synchronous.

    As many views are executed at a time as there are connections to the database; the other requests wait for their
    turn here, in the order in which they came. In threads they would fight for the processor, and those that had to
    wait too long for a connection would be refused, whoever came first.
    """

    def __init__(self, connections: int | None = None) -> None:
        """`connections`: how many the process may have to the database; None: any number."""
        super().__init__()
        self._turns = None if connections is None else Turns(connections)
        self._answer_in_thread = sync_to_async(self._get_response_in_turn, thread_sensitive=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the request, in a thread that has served others; what comes after the view needs no thread."""
        async with WhileThere(receive) as there:
            content = await self._serve(scope, there, send)
            if content is not None:
                scope["headers"].clear()  # the server keeps the scope
                await send_all(content, send)

    async def _serve(self, scope: Any, there: WhileThere, send: Any) -> "Content | None":
        """What Django does, whose signals and whose `close` have nothing to do in a thread here: it has been left.

        Returns what is still to be sent.
        """
        try:
            body = await self.read_body(there.receive)
        except RequestAborted:
            return None
        with closing(body):
            there.listen()
            set_script_prefix(get_script_prefix(scope))
            request_started.send(sender=type(self), scope=scope)
            request, refusal = self.create_request(scope, body)
            if request is not None:
                return await self._answer(request, send)
            assert refusal is not None  # noqa: S101 - for the type checker
            return await self._send(refusal, send)

    async def _answer(self, request: HttpRequest, send: Any) -> "Content | None":
        """Answer; a client that leaves before there is anything to answer ends this."""
        async with request_thread():
            try:
                response = await self.run_get_response(request)
            except asyncio.CancelledError:
                request_finished.send(sender=type(self))
                raise
            return await self._send(response, send)

    async def _send(self, response: HttpResponseBase, send: Any) -> "Content | None":
        """Send it all, or the beginning of what the event loop goes on with when Django has let go of the request."""
        try:
            if isinstance(response, StreamingHttpResponse) and response.is_async:
                await send_beginning(response, send)
                # What `streaming_content` returns would keep the response.
                return response._iterator  # type: ignore[attr-defined, no-any-return]
            if response.streaming:
                await self.send_response(response, send)
            else:
                await self._send_content(response, send)
            return None
        finally:
            response.close()

    async def _send_content(self, response: Any, send: Any) -> None:
        await send_beginning(response, send)
        for part, is_last in self.chunk_bytes(response.content):
            await send({"type": "http.response.body", "body": part, "more_body": not is_last})

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the chain for a thread."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the thread of this request, which is another's as soon as it has done that."""
        turns = None if AT_ONCE.fullmatch(request.path) else self._turns
        async with nullcontext() if turns is None else turns.one():
            return await self._answer_in_thread(request)

    def _get_response_in_turn(self, request: HttpRequest) -> HttpResponseBase:
        with view_of_turn(), _leaving_thread():
            response = self.get_response(request)
        if response.streaming:
            _forget_what_only_views_ask(request)
        return response


@contextmanager
def _leaving_thread() -> Iterator[None]:
    """The block is the last that the thread of this request does for it."""
    try:
        yield
    finally:
        if (thread := serving_thread()) is not None:
            thread.leave()


def _forget_what_only_views_ask(request: HttpRequest) -> None:
    """Much of it refers to the request: all of that would wait for the garbage collector, which comes now and then."""
    request.META.clear()
    for name in _OF_VIEWS & vars(request).keys():
        delattr(request, name)
