"""/ok and /info: what a client may ask before it has a key."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs import __version__
from runs.api.responses import HealthSerializer, InfoSerializer
from runs.api.view import ApiView

_FLAGS = {"assistants": True, "threads": True, "runs": True, "crons": False, "store": False, "langsmith": False}


class PublicView(ApiView):
    """For everybody: no key, and no error for a wrong one."""

    authentication_classes: Sequence[Any] = ()
    permission_classes: Sequence[Any] = ()


class OkView(PublicView):
    """Whether the web process answers."""

    @extend_schema(operation_id="ok", responses=HealthSerializer, auth=[])
    def get(self, request: Request) -> Response:
        """Answer; no other service is asked."""
        return Response({"ok": True, "services": {}})


class InfoView(PublicView):
    """Which server this is."""

    @extend_schema(operation_id="info", responses=InfoSerializer, auth=[])
    def get(self, request: Request) -> Response:
        """Return the version and what this server can do."""
        return Response({"version": __version__, "flags": _FLAGS})
