"""What a browser may load and run on the console's pages."""

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.deprecation import MiddlewareMixin

#: Everything comes from this server. 'unsafe-eval' is for the admin's Alpine.js, which compiles what its templates say;
#: no other page has it.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class ConsolePolicy(MiddlewareMixin):
    """Send POLICY with every page of the admin, and with no other."""

    get_response: Callable[[HttpRequest], HttpResponseBase]

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the header, unless a page has a policy of its own."""
        if request.path.startswith(_console(settings.ROOT_URLCONF, get_script_prefix())):
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


@lru_cache(maxsize=8)
def _console(urls: str, prefix: str) -> str:
    """Where the admin is, with these URLs below this prefix; every response asks."""
    try:
        return reverse("admin:index")
    except NoReverseMatch:  # a deployment without the admin
        return "\n"
