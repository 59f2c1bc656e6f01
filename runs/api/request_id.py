"""Every request has an id: the caller's X-Request-ID or one of ours. The answer, the history and the logs show it."""

import re
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from runs.logcontext import bind
from runs.models import new_id

HEADER = "X-Request-ID"
_ACCEPTABLE = re.compile(r"[!-~]{1,64}")


class RequestIdMiddleware(MiddlewareMixin):
    """Give the request a usable id, under the name its readers know, and send it back."""

    get_response: Callable[[HttpRequest], HttpResponseBase]

    def process_request(self, request: HttpRequest) -> None:
        """Replace an id that is missing, too long for the history, or not printable."""
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request.META["HTTP_X_REQUEST_ID"] = sent if _ACCEPTABLE.fullmatch(sent) else str(new_id())
        bind(request=request_id(request))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Name the id in the answer."""
        response[HEADER] = request_id(request)
        return response


def request_id(request: HttpRequest) -> str:
    """The id of this request; empty if the middleware is not installed."""
    return str(request.META.get("HTTP_X_REQUEST_ID", ""))
