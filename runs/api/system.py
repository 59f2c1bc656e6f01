"""/ok, /info and /health: what may be asked without a key."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from runs import __version__, health
from runs.api.fields import QuerySerializer
from runs.api.responses import HealthSerializer, InfoSerializer, LiveSerializer, ReadySerializer
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


class LiveView(PublicView):
    """Whether this process serves requests; if not, restart it."""

    @extend_schema(operation_id="live", responses=LiveSerializer, auth=[])
    def get(self, request: Request) -> Response:
        """Answer; nothing else is asked, so that an outage elsewhere restarts nobody."""
        return Response({"status": "alive"})


class ReadyQuery(QuerySerializer):
    """GET /health/ready."""

    degraded = serializers.ChoiceField(
        ["ok"],
        required=False,
        help_text="`ok`: 200 also without Redis. Runs are accepted and states are read then; streams and starts wait.",
    )


class ReadyView(PublicView):
    """Whether this process can do everything; if not, send requests elsewhere."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": ReadyQuery}

    @extend_schema(operation_id="ready", responses={200: ReadySerializer, 503: ReadySerializer}, auth=[])
    def get(self, request: Request) -> Response:
        """Answer 200, or 503 naming what is down: the database, its migrations, Redis."""
        found = health.check()
        missing = {name for name, answer in found.items() if answer != health.UP}
        status = "unavailable" if missing - {"redis"} else "degraded" if missing else "ready"
        is_enough = status == "ready" or (status == "degraded" and "degraded" in self.query)
        code = HTTPStatus.OK if is_enough else HTTPStatus.SERVICE_UNAVAILABLE
        return Response({"status": status, "checks": found}, status=code)
