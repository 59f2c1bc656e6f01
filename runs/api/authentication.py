"""Who calls: an API key, in `x-api-key` or as a bearer token. Django's session is the other way (DRF's own class)."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from runs.actors import Actor
from runs.api.request_id import request_id
from runs.models import ApiKey
from runs.services.api_keys import RecalledKey, find_api_key, recall_api_key

_BEARER = "bearer"


class ApiKeyAuthentication(BaseAuthentication):
    """The key's owner is the user; requests with a key need no CSRF token, because browsers never add one by itself."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """Return the owner and the key, None if none was sent, or raise AuthenticationFailed."""
        sent = request.META.get("HTTP_X_API_KEY") or _bearer_token(request)
        if not sent:
            return None
        key = _recalled(request, sent) or find_api_key(sent)
        if key is None:
            raise AuthenticationFailed("This API key is not known, or it has been revoked.")
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:
        """What WWW-Authenticate says, which makes DRF answer 401 rather than 403."""
        return 'Bearer realm="runyard"'


def _recalled(request: Request, sent: str) -> ApiKey | None:
    """The key from memory, for a view that sees to it that it is confirmed: it says so, and it is told."""
    view: Any = request.parser_context["view"]
    if not getattr(view, "recalls_keys", False):
        return None
    view.recalled = recall_api_key(sent)
    return None if view.recalled is None else view.recalled.key


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == _BEARER else ""


def actor_of(request: Request, recalled: RecalledKey | None = None) -> Actor:
    """The caller as services and the history know it: "api-key:<prefix>" or "user:<name>"."""
    name = f"api-key:{request.auth.prefix}" if isinstance(request.auth, ApiKey) else f"user:{request.user}"
    return Actor(name=name, owner=request.user, request_id=request_id(request._request), unconfirmed=recalled)


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = ApiKeyAuthentication
    name = ["apiKey", "bearer"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        """Either is enough."""
        return [{"apiKey": []}, {"bearer": []}]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """Both places in which the key may be sent."""
        return [{"type": "apiKey", "in": "header", "name": "x-api-key"}, {"type": "http", "scheme": "bearer"}]
