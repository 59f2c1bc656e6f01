"""What Django does not do: refuse a body that is too large before it is on the disk, and tell of a request's end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse

from runs.api.errors import BodyTooLarge, answer
from runs.api.presence import Presence
from runs.conf import runs_settings
from runs.logcontext import LogContext, bind
from runs.tracing import note_status, request_span, trace_id

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
#: Where a scope has why its request is refused.
_ERROR = "runs.refused"
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def guarded(application: Application) -> Application:
    """The application, for HTTP only, with no body beyond RUNS["MAX_BODY_BYTES"], and told when a request has ended."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # the server answers 403
            return
        with Presence(), LogContext(), _traced(scope) as span:
            bind(trace=trace_id())

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    note_status(span, message["status"])
                await send(message)

            try:
                await application(scope, _bounded(scope, receive), noting)
            except BodyTooLarge as error:
                await (await _refusing())({**scope, _ERROR: error}, _nothing(), noting)

    return guard


def _traced(scope: Scope) -> AbstractContextManager[Any]:
    sent = dict(scope.get("headers", ())).get(b"traceparent", b"")
    return request_span(scope["method"], scope["path"], sent.decode("latin-1"))


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Raises BodyTooLarge at the announced size, or as soon as more has arrived; no answer has begun then."""
    limit, arrived = runs_settings().MAX_BODY_BYTES, 0
    announced = dict(scope.get("headers", ())).get(b"content-length", b"0")

    async def bounded() -> Message:
        nonlocal arrived
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > limit:
            raise _too_large(limit)
        return message

    return bounded


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {limit} bytes.")


class _Refusing(ASGIHandler):
    """Answers with a refusal, without asking for a body, through all of the settings' middleware.

    So it has what every answer has: the request's id, and what lets a page of another origin read it.
    """

    async def _get_response_async(self, request: HttpRequest) -> HttpResponse:
        response = answer(vars(request)["scope"][_ERROR], request)
        response["Connection"] = "close"  # the rest of the body is not waited for
        return response


async def _refusing() -> _Refusing:
    """Made when it is needed first, in a thread: some middleware reads files."""
    return await sync_to_async(_refusing_handler, thread_sensitive=False)()


@lru_cache(maxsize=1)
def _refusing_handler() -> _Refusing:
    return _Refusing()


def _nothing() -> Receive:
    """An empty body, then a client that stays."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        never: asyncio.Future[Message] = asyncio.Future()
        return await never

    return receive
