"""Streams of runs: create and watch, join, cancel and watch the tail."""

from collections.abc import AsyncIterator, Collection
from typing import ClassVar
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from runs.api import idempotency
from runs.api.fields import QueryFlagField, QuerySerializer
from runs.api.links import CONTENT_LOCATION, LOCATION, stream_headers
from runs.api.run_requests import STREAM_MODES, RunCreate
from runs.api.runs import CreateView
from runs.api.view import ApiView
from runs.models import Run
from runs.services.runs import get_run
from runs.streaming.frames import Cursor, From, parse_cursor
from runs.streaming.hub import hub
from runs.streaming.reader import RunReader
from runs.streaming.sse import encode

_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID", str, OpenApiParameter.HEADER, description="Go on after this event; -1 or 0: from the start."
)
_STREAM = {(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description="Server-sent events.")}


class StreamModesField(serializers.ListField):
    """Repeated, as a JSON list, one, or empty: SDKs do all of these."""

    child = serializers.ChoiceField(STREAM_MODES)
    allow_empty = True


class StreamQuery(QuerySerializer):
    """GET .../stream."""

    stream_mode = StreamModesField(required=False)
    cancel_on_disconnect = QueryFlagField(default=False)
    checkpoint_id = serializers.CharField(required=False, help_text="A hint of SDKs; means nothing here.")
    namespace = serializers.CharField(required=False, help_text="A hint of SDKs; means nothing here.")


class StreamView(ApiView):
    """Watch a run."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": StreamQuery}

    @extend_schema(
        operation_id="stream_run", parameters=[_LAST_EVENT_ID, CONTENT_LOCATION, LOCATION], responses=_STREAM
    )
    def get(self, request: Request, thread_id: UUID, run_id: UUID) -> StreamingHttpResponse:
        """Show the run's events, from the start or after `Last-Event-ID`, then live, to the end."""
        run = get_run(run_id=run_id, owner=self.owner, thread_id=thread_id)
        modes = [mode for mode in self.query.get("stream_mode", []) if mode]
        return stream_of(run, parse_cursor(request.headers.get("Last-Event-ID")), modes or None)


class CreateAndStreamView(CreateView):
    """Create a run and watch it."""

    @extend_schema(
        operation_id="create_run_and_stream",
        request=RunCreate,
        parameters=[idempotency.PARAMETER, CONTENT_LOCATION, LOCATION],
        responses=_STREAM,
    )
    def post(self, request: Request, thread_id: UUID) -> StreamingHttpResponse:
        """Accept a run and show its events to the end."""
        created, headers = self.create(request, thread_id)
        return stream_of(created.run, From.START, None, headers)


def stream_of(
    run: Run, cursor: Cursor, modes: Collection[str] | None, headers: dict[str, str] | None = None
) -> StreamingHttpResponse:
    """The response that shows a run's events; its headers are sent at once."""
    return StreamingHttpResponse(
        _events(run.pk, cursor, modes),
        content_type="text/event-stream; charset=utf-8",
        headers={**stream_headers(run), "X-Accel-Buffering": "no", "Cache-Control": "no-store", **(headers or {})},
    )


async def _events(run_id: UUID, cursor: Cursor, modes: Collection[str] | None) -> AsyncIterator[bytes]:
    async for item in RunReader(hub(), run_id, cursor).read():
        if chunk := encode(item, modes):
            yield chunk
