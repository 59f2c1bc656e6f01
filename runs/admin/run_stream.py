"""The live stream of any run, for operators; the API shows a run's stream to its owner alone."""

from collections.abc import AsyncIterator
from uuid import UUID

from django.db import connection
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from runs.models import Run
from runs.streaming.frames import From, Place, parse_cursor
from runs.streaming.hub import hub
from runs.streaming.reader import RunReader
from runs.streaming.sse import encode


@require_GET
def live_stream(request: HttpRequest, run_id: UUID) -> StreamingHttpResponse:
    """Everything that is retained, or what comes after `Last-Event-ID`, then live to the end.

    Who watches here is no client of the run: going away cancels nothing.
    """
    if not Run.objects.filter(pk=run_id).exists():
        raise Http404
    if not connection.in_atomic_block:
        connection.close()  # a stream may be open for hours, and connections are few
    cursor = parse_cursor(request.headers.get("Last-Event-ID"))
    return StreamingHttpResponse(
        _events(run_id, cursor),
        content_type="text/event-stream; charset=utf-8",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _events(run_id: UUID, cursor: Place | From) -> AsyncIterator[bytes]:
    async for item in RunReader(hub(), run_id, cursor).read():
        yield encode(item)
