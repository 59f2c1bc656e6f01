"""What Django does not do: refuse a body that is too large before it is on the disk, and tell of a request's end."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from django.http import HttpRequest

from runs.api.errors import MEDIA_TYPE, BodyTooLarge, problem_of
from runs.api.presence import presence
from runs.conf import runs_settings
from runs.logcontext import bind, log_context
from runs.tracing import note_status, request_span, trace_id

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def guarded(application: Application) -> Application:
    """The application, for HTTP only, with no body beyond RUNS["MAX_BODY_BYTES"], and told when a request has ended."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # the server answers 403
            return
        with presence(), log_context(), _traced(scope) as span:
            bind(trace=trace_id())

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    note_status(span, message["status"])
                await send(message)

            try:
                await application(scope, _bounded(scope, receive), noting)
            except BodyTooLarge as error:
                await _refuse(scope, error, noting)

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


async def _refuse(scope: Scope, error: BodyTooLarge, send: Send) -> None:
    problem = problem_of(error)
    assert problem is not None  # noqa: S101 (for the type checker)
    request = HttpRequest()
    request.path = scope["path"]
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem.body(request)).encode()})
