"""Waiting for a run's result: join a run, or create one and wait for it.

The answer begins before the run has ended, so its status is 200 in any case; white space, which JSON allows in front,
keeps the connection alive, and an error is told in the body.
"""

from collections.abc import AsyncIterator
from typing import ClassVar
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from runs import metrics
from runs.api import idempotency
from runs.api.disconnect import Connection
from runs.api.expected import Expected
from runs.api.fields import QueryFlagField, QuerySerializer
from runs.api.links import CONTENT_LOCATION, LOCATION, join_headers
from runs.api.run_requests import RunCreate
from runs.api.runs import CreateView
from runs.api.sending import Last
from runs.api.view import ApiView
from runs.api.waiting import result
from runs.models import Run
from runs.services.runs import get_run
from runs.states import DisconnectMode
from runs.streaming.watch import Watch

HEARTBEAT_SECONDS = 5.0
RESULT_RESPONSE = {
    200: OpenApiResponse(
        OpenApiTypes.OBJECT,
        description='The state the run ended with, or {"__error__": {"error", "message"}} if it failed.',
    )
}


class JoinQuery(QuerySerializer):
    """GET .../join."""

    cancel_on_disconnect = QueryFlagField(default=False, help_text="Cancel the run when nobody waits for it any more.")


class JoinView(ApiView):
    """Wait for a run."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": JoinQuery}

    @extend_schema(operation_id="join_run", parameters=[CONTENT_LOCATION, LOCATION], responses=RESULT_RESPONSE)
    def get(self, request: Request, thread_id: UUID, run_id: UUID) -> StreamingHttpResponse:
        """Answer when the run has ended."""
        run = get_run(run_id=run_id, owner=self.owner, thread_id=thread_id)
        return _result_of(run, cares=self.query["cancel_on_disconnect"])


class WaitView(CreateView):
    """Create a run and wait for it."""

    @extend_schema(
        operation_id="create_run_and_wait",
        request=RunCreate,
        parameters=[idempotency.PARAMETER, CONTENT_LOCATION, LOCATION],
        responses=RESULT_RESPONSE,
    )
    def post(self, request: Request, thread_id: UUID) -> StreamingHttpResponse:
        """Accept a run and answer when it has ended."""
        return self.result_of_created(request, thread_id)

    def result_of_created(self, request: Request, thread_id: UUID | None) -> StreamingHttpResponse:
        """Accept a run, with None on a thread of its own, and answer the client when it has ended."""
        expected = Expected()
        created, headers = self.create(request, thread_id, expected)
        watch = None if created.replayed else expected.watch
        cares = created.run.on_disconnect == DisconnectMode.CANCEL
        return _result_of(created.run, cares=cares, headers=headers, watch=watch)


def _result_of(
    run: Run, *, cares: bool, headers: dict[str, str] | None = None, watch: Watch | None = None
) -> StreamingHttpResponse:
    """`watch`: from before the run was there."""
    return StreamingHttpResponse(
        _result(Connection.to(run, cares=cares, expected=watch), is_new=watch is not None),
        content_type="application/json",
        headers={**join_headers(run, cares=cares), "X-Accel-Buffering": "no", **(headers or {})},
    )


async def _result(connection: Connection, *, is_new: bool) -> AsyncIterator[bytes]:
    with metrics.streams_open.one(kind="wait"):
        async with connection as watch:
            while (answer := await result(watch, within=HEARTBEAT_SECONDS, is_new=is_new)) is None:
                is_new = False
                yield b"\n"
    yield Last(JSONRenderer().render(answer))
