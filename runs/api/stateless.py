"""/runs: runs that bring a thread of their own, which is deleted with them unless `on_completion` says keep."""

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api import idempotency
from runs.api.fields import AnyField
from runs.api.links import CONTENT_LOCATION, LOCATION, stateless_headers
from runs.api.presenters import present_created
from runs.api.responses import CreatedRunSerializer
from runs.api.run_requests import StatelessRunCreate, stateless_spec
from runs.api.runs import CreateView
from runs.api.streams import STREAM_RESPONSE, CreateAndStreamView
from runs.api.view import ApiView, checked
from runs.api.wait import RESULT_RESPONSE, WaitView
from runs.services.create import create_runs

_MOST_RUNS = 100


class StatelessRunsView(CreateView):
    """Background runs."""

    @extend_schema(
        operation_id="create_stateless_run",
        request=StatelessRunCreate,
        parameters=[idempotency.PARAMETER, CONTENT_LOCATION],
        responses=CreatedRunSerializer,
    )
    def post(self, request: Request) -> Response:
        """Accept a run on a new thread."""
        created, headers = self.create(request, None)
        return Response(present_created(created), headers={**stateless_headers(created.run), **headers})


class StatelessStreamView(CreateAndStreamView):
    """Runs that are watched."""

    @extend_schema(
        operation_id="create_stateless_run_and_stream",
        request=StatelessRunCreate,
        parameters=[idempotency.PARAMETER, CONTENT_LOCATION, LOCATION],
        responses=STREAM_RESPONSE,
    )
    def post(self, request: Request) -> StreamingHttpResponse:  # type: ignore[override] # its path names no thread
        """Accept a run on a new thread and show its events to the end."""
        return self.stream_of_created(request, None)


class StatelessWaitView(WaitView):
    """Runs that are waited for."""

    @extend_schema(
        operation_id="create_stateless_run_and_wait",
        request=StatelessRunCreate,
        parameters=[idempotency.PARAMETER, CONTENT_LOCATION, LOCATION],
        responses=RESULT_RESPONSE,
    )
    def post(self, request: Request) -> StreamingHttpResponse:  # type: ignore[override] # its path names no thread
        """Accept a run on a new thread and answer when it has ended."""
        return self.result_of_created(request, None)


class BatchItem(StatelessRunCreate):
    """One run of POST /runs/batch."""

    assistantId = AnyField(required=False, help_text="LangGraph's JavaScript SDK repeats `assistant_id` so.")


class BatchView(ApiView):
    """Several background runs."""

    @extend_schema(
        operation_id="create_stateless_runs",
        request=BatchItem(many=True),
        parameters=[idempotency.PARAMETER],
        responses=CreatedRunSerializer(many=True),
    )
    def post(self, request: Request) -> Response:
        """Accept these runs, each on a new thread: all or none."""
        body: Any = self.json()
        if not isinstance(body, list) or not 1 <= len(body) <= _MOST_RUNS:
            raise ValidationError(f"Send a list of 1 to {_MOST_RUNS} runs.")
        specs = [stateless_spec(checked(BatchItem(data=item))) for item in body]
        key = idempotency.idempotency_of(request, body)
        created = create_runs(specs=specs, actor=self.actor, idempotency=key)
        return Response([present_created(one) for one in created], headers=idempotency.replay_header(created[0]))
