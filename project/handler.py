"""How a request gets from the event loop to its view: in one step, when it is its turn."""

import re
from contextlib import nullcontext
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from runs.api.request_threads import request_thread
from runs.api.turns import Turns, view_of_turn

#: Answered whatever waits: who asks wants to know whether this process lives, and how it is.
AT_ONCE = re.compile(r"/(ok|metrics|health(/.*)?)$")
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

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the request, in a thread that has served others."""
        async with request_thread():
            await self.handle(scope, receive, send)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the chain for a thread."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the thread of this request."""
        turns = None if AT_ONCE.fullmatch(request.path) else self._turns
        async with nullcontext() if turns is None else turns.one():
            return await sync_to_async(self._get_response_in_turn, thread_sensitive=True)(request)

    async def send_response(self, response: HttpResponseBase, send: Any) -> None:
        """Send it all, or the beginning of a stream and then what comes."""
        await super().send_response(response, _forgetting_headers(response, send) if response.streaming else send)

    def _get_response_in_turn(self, request: HttpRequest) -> HttpResponseBase:
        with view_of_turn():
            response = self.get_response(request)
        if response.streaming:
            _forget_what_only_views_ask(request)
        return response


def _forget_what_only_views_ask(request: HttpRequest) -> None:
    """Django keeps a request until its answer is complete, and a stream may last for hours."""
    request.META.clear()
    vars(request).get("scope", {}).get("headers", []).clear()
    for name in _OF_VIEWS & vars(request).keys():
        delattr(request, name)


def _forgetting_headers(response: HttpResponseBase, send: Any) -> Any:
    """As for the request: once they are sent, nobody asks for them."""

    async def forgetting(message: dict[str, Any]) -> None:
        await send(message)
        if message["type"] == "http.response.start":
            message["headers"].clear()
            for name in list(response.headers):
                del response.headers[name]

    return forgetting
