"""Serving a client for as long as it is there, and sending it what comes after its view has answered, maybe for hours.

Django would listen for its leaving in one task and answer in another, and keep the request and the response until then.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from contextvars import Context
from typing import Any, Self

from django.http.response import HttpResponseBase

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Last(bytes):
    """A part after which nothing comes; the end of the answer is sent with it."""


async def send_beginning(response: HttpResponseBase, send: Send) -> None:
    """Send the status and the headers."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    cookies = [(b"Set-Cookie", each.output(header="").strip().encode("ascii")) for each in response.cookies.values()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers + cookies})


async def send_all(content: AsyncGenerator[bytes, None], send: Send) -> None:
    """Send what comes. Content that ends itself by a CancelledError is not said to be complete."""
    async with aclosing(content):
        async for part in content:
            is_last = isinstance(part, Last)
            await send({"type": "http.response.body", "body": part, "more_body": not is_last})
            if is_last:
                return
    await send({"type": "http.response.body"})


class WhileThere:
    """A client that leaves ends the block where it waits, and that is all; a server that cancels is heeded."""

    __slots__ = ("_listener", "_task", "receive")

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self._task: Any = asyncio.current_task()
        self._listener: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """To be called when the body has been received: what comes then is only that the client leaves."""
        self._listener = asyncio.create_task(_cancel_when_gone(self._task, self.receive), context=Context())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        has_left = self._listener is not None and not self._listener.cancel()
        is_cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        if has_left:
            return self._task.uncancel() == 0 and is_cancelled
        return is_cancelled and not self._task.cancelling()


async def _cancel_when_gone(task: "asyncio.Task[Any]", receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
