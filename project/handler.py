"""How a request gets from the event loop to its view: in one step."""

from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from runs.api.request_threads import request_thread


class OneThreadHandler(ASGIHandler):
    """Serves a request, with all of its middleware, in one thread; only what is streamed comes from the event loop.

    Django's own handler keeps the chain of middleware in the event loop and leaves it for every `process_request` and
    `process_response`, more than a dozen times a request. All our views are synchronous.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the request, in a thread that has served others."""
        async with request_thread():
            await self.handle(scope, receive, send)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the chain for a thread."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the thread of this request."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
