"""/threads/{thread_id}/stream: everything that the runs of a thread show, as it happens."""

import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from runs import metrics
from runs.api.fields import QuerySerializer
from runs.api.links import LOCATION, thread_stream_headers
from runs.api.streams import STREAM_HEADERS, STREAM_RESPONSE, cut, note_gap
from runs.api.view import ApiView
from runs.services.history import get_thread
from runs.streaming.frames import Gap
from runs.streaming.hub import hub
from runs.streaming.reader import Item
from runs.streaming.sse import encode, event
from runs.streaming.thread_reader import ThreadCursor, ThreadReader, find_start, is_end

_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    str,
    OpenApiParameter.HEADER,
    description="Go on after this event, <run id>/<attempt>-<number>; -1 or 0: from the first run.",
)


class ThreadModesField(serializers.ListField):
    """Repeated, as a JSON list, or with commas between: clients do all of these."""

    child = serializers.ChoiceField(["run_modes", "lifecycle"])

    def to_internal_value(self, data: Any) -> list[str]:
        """Take what is between the commas."""
        modes: list[str] = super().to_internal_value([mode for item in data for mode in str(item).split(",")])
        return modes


class ThreadStreamQuery(QuerySerializer):
    """GET /threads/{thread_id}/stream."""

    stream_modes = ThreadModesField(required=False, help_text="lifecycle: only the beginning and end of each run.")
    stream_mode = ThreadModesField(required=False, help_text="The same; SDKs use this name.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Whoever asks for the runs' own modes, under either name, gets them."""
        asked = {*attrs.get("stream_modes", []), *attrs.get("stream_mode", [])}
        return {"lifecycle": asked == {"lifecycle"}}


class ThreadStreamView(ApiView):
    """Watch a thread."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": ThreadStreamQuery}

    @extend_schema(operation_id="stream_thread", parameters=[_LAST_EVENT_ID, LOCATION], responses=STREAM_RESPONSE)
    def get(self, request: Request, thread_id: UUID) -> StreamingHttpResponse:
        """Show the events of the run that executes and of all that begin later, until the thread is deleted."""
        get_thread(thread_id=thread_id, owner=self.owner)
        start = find_start(thread_id, request.headers.get("Last-Event-ID"), owner=self.owner)
        return StreamingHttpResponse(
            _events(thread_id, start, self.owner, self.query["lifecycle"]),
            content_type="text/event-stream; charset=utf-8",
            headers={**thread_stream_headers(thread_id, lifecycle=self.query["lifecycle"]), **STREAM_HEADERS},
        )


async def _events(thread_id: UUID, start: ThreadCursor, owner: Any, lifecycle: bool) -> AsyncIterator[bytes]:
    with metrics.streams_open.one(kind="thread"):
        async for run_id, item in ThreadReader(hub(), thread_id, start, owner).read():
            if chunk := _encode(run_id, item, lifecycle):
                yield chunk
            if isinstance(item, Gap):
                note_gap(item)
                return
    if hub().shutting_down:
        cut()


def _encode(run_id: UUID | None, item: Item, lifecycle: bool) -> bytes:
    """A run's end does not end the stream; it is told as LangGraph's server tells it."""
    chunk = encode(item, ["metadata"] if lifecycle else None, prefix=f"{run_id}/", with_end=False)
    if not is_end(item):
        return chunk
    done = json.dumps({"status": "run_done", "run_id": str(run_id)})
    return chunk + event("metadata", done, f"{run_id}/{getattr(item, 'place', '')}")
