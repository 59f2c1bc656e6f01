"""Other people's middleware, without the work that most requests, which are the API's, have no use for."""

from corsheaders.middleware import CorsMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.messages.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject, empty


class Cors(CorsMiddleware):
    """The same answers, without looking through the headers of a request that has no Origin."""

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Caches are told also then that the answer depends on it."""
        if "HTTP_ORIGIN" in request.META:
            return super().add_response_headers(request, response)
        if self.is_enabled(request):
            patch_vary_headers(response, ("origin",))
        return response


class Messages(MessageMiddleware):
    """The same messages, for whom there is a storage only when somebody asks for it."""

    def process_request(self, request: HttpRequest) -> None:
        """Have it made by the first who asks."""
        request._messages = SimpleLazyObject(lambda: default_storage(request))  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Store what was added; of messages that nobody has asked for there is nothing to store."""
        if getattr(getattr(request, "_messages", None), "_wrapped", None) is empty:
            return response
        return super().process_response(request, response)
