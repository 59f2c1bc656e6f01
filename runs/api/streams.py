"""Streams of runs: create and watch, join, cancel and watch the tail."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import ClassVar, NoReturn
from uuid import UUID

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from runs import metrics
from runs.api import idempotency
from runs.api.cancel import CancelQuery, answer_when_settled
from runs.api.disconnect import Connection, cares
from runs.api.expected import Expected
from runs.api.fields import QueryFlagField, QuerySerializer
from runs.api.links import CONTENT_LOCATION, LOCATION, stream_headers
from runs.api.run_requests import STREAM_MODES, RunCreate
from runs.api.runs import CreateView
from runs.api.sending import Last
from runs.api.view import ApiView
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.services.runs import get_run
from runs.states import DisconnectMode
from runs.streaming.frames import Cursor, Frame, From, Gap, Place, parse_cursor
from runs.streaming.hub import hub
from runs.streaming.reader import Item, RunReader
from runs.streaming.sse import encode

_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID", str, OpenApiParameter.HEADER, description="Go on after this event; -1 or 0: from the start."
)
STREAM_RESPONSE = {(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description="Server-sent events.")}


class StreamModesField(serializers.ListField):
    """Repeated, as a JSON list, one, or empty: SDKs do all of these."""

    child = serializers.ChoiceField(STREAM_MODES)
    allow_empty = True


_HEADERS = [_LAST_EVENT_ID, CONTENT_LOCATION, LOCATION]
#: A proxy must neither keep nor hold back what is live.
STREAM_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}


class CreateStreamQuery(QuerySerializer):
    """POST /threads/{thread_id}/runs/stream and POST /runs/stream."""

    namespace = serializers.CharField(required=False, help_text="A hint of SDKs; means nothing here.")


class StreamQuery(CreateStreamQuery):
    """GET .../stream."""

    stream_mode = StreamModesField(required=False)
    cancel_on_disconnect = QueryFlagField(required=False)
    checkpoint_id = serializers.CharField(required=False, help_text="A hint of SDKs; means nothing here.")


class CancelAndStreamQuery(CancelQuery):
    """POST .../stream."""

    stream_mode = StreamModesField(required=False)


class StreamView(ApiView):
    """Watch a run."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": StreamQuery, "POST": CancelAndStreamQuery}

    @extend_schema(operation_id="stream_run", parameters=_HEADERS, responses=STREAM_RESPONSE)
    def get(self, request: Request, thread_id: UUID, run_id: UUID) -> StreamingHttpResponse:
        """Show the run's events, from the start or after `Last-Event-ID`, then live, to the end."""
        run = get_run(run_id=run_id, owner=self.owner, thread_id=thread_id)
        place = request.headers.get("Last-Event-ID")
        resumes = isinstance(parse_cursor(place), Place)
        stays = cares(run, asked=self.query.get("cancel_on_disconnect"), resumes=resumes)
        return stream_of(run, parse_cursor(place), self._modes(), cares=stays)

    @extend_schema(
        operation_id="cancel_and_stream_run",
        request=None,
        parameters=_HEADERS,
        responses={
            **STREAM_RESPONSE,
            202: OpenApiResponse(description="With `wait`: cancelled; its executor is still leaving."),
            204: OpenApiResponse(description="With `wait`: cancelled, and its executor has left."),
        },
    )
    def post(self, request: Request, thread_id: UUID, run_id: UUID) -> HttpResponseBase:
        """Cancel the run, then show what is left of its events, or with `wait` answer when its executor has left."""
        self.no_body()
        run = cancel_run(
            run_id=run_id,
            thread_id=thread_id,
            actor=self.actor,
            action=self.query["action"],
            reason=self.query.get("reason", ""),
        )
        if self.query["wait"]:
            return answer_when_settled(run)
        place = request.headers.get("Last-Event-ID")
        return stream_of(run, From.TAIL if place is None else parse_cursor(place), self._modes(), cares=False)

    def _modes(self) -> list[str] | None:
        """The modes asked for; none named means all."""
        return [mode for mode in self.query.get("stream_mode", []) if mode] or None


class CreateAndStreamView(CreateView):
    """Create a run and watch it."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"POST": CreateStreamQuery}

    @extend_schema(
        operation_id="create_run_and_stream",
        request=RunCreate,
        parameters=[idempotency.PARAMETER, CONTENT_LOCATION, LOCATION],
        responses=STREAM_RESPONSE,
    )
    def post(self, request: Request, thread_id: UUID) -> StreamingHttpResponse:
        """Accept a run and show its events to the end."""
        return self.stream_of_created(request, thread_id)

    def stream_of_created(self, request: Request, thread_id: UUID | None) -> StreamingHttpResponse:
        """Accept a run, with None on a thread of its own, and show its events to the client that has created it."""
        expected = Expected()
        created, headers = self.create(request, thread_id, expected)
        connection = Connection.to(
            created.run,
            cares=created.run.on_disconnect == DisconnectMode.CANCEL,
            expected=None if created.replayed else expected.watch,
        )
        return _stream(created.run, connection, From.START, None, headers=headers, is_new=not created.replayed)


def stream_of(run: Run, cursor: Cursor, modes: Collection[str] | None, *, cares: bool) -> StreamingHttpResponse:
    """The response that shows the events of a run that there is."""
    return _stream(run, Connection.to(run, cares=cares), cursor, modes, headers={}, is_new=False)


def _stream(
    run: Run,
    connection: Connection,
    cursor: Cursor,
    modes: Collection[str] | None,
    *,
    headers: dict[str, str],
    is_new: bool,
) -> StreamingHttpResponse:
    """The response that shows a run's events; its headers are sent at once."""
    return StreamingHttpResponse(
        _events(connection, cursor, modes, is_new=is_new),
        content_type="text/event-stream; charset=utf-8",
        headers={**stream_headers(run, modes=modes, cares=connection.cares), **STREAM_HEADERS, **headers},
    )


async def _events(
    connection: Connection, cursor: Cursor, modes: Collection[str] | None, *, is_new: bool
) -> AsyncIterator[bytes]:
    chunk = b""
    with metrics.streams_open.one(kind="run"):
        async with connection as watch:
            item: Item | None = None
            reader = RunReader(hub(), connection.run_id, cursor, is_new, is_expected=connection.is_expected)
            async for item in reader.follow(watch):
                chunk = encode(item, modes)
                if chunk and not is_last(item):
                    yield chunk
            note_gap(item)
            if not is_last(item):
                cut()
    yield Last(chunk)


def note_gap(item: Item | None) -> None:
    """Count the end of a stream that could not go on where its client was."""
    if isinstance(item, Gap):
        metrics.stream_gaps.inc()


def is_last(item: Item | None) -> bool:
    """Whether a run's stream is complete with it; if not, this server has to go before it was."""
    return isinstance(item, Gap) or (isinstance(item, Frame) and item.place.is_end)


def cut() -> NoReturn:
    """End the answer in a way that the client cannot take for its end: its server breaks the connection.

    After a clean close clients ask whether the run is still in flight. If it has ended meanwhile they believe that
    they have seen everything, although what it showed last was never sent.
    """
    raise asyncio.CancelledError  # what Django takes for a client that is gone: nothing more is sent, nothing is logged
