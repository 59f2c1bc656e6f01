"""/threads/{thread_id}/runs: create, list, read, delete."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api import idempotency
from runs.api.expected import Expected
from runs.api.fields import QuerySerializer
from runs.api.links import CONTENT_LOCATION, run_headers
from runs.api.pagination import query_limit_field, query_offset_field
from runs.api.presenters import present_created, present_run, select
from runs.api.responses import RUN_MEMBERS, CreatedRunSerializer, RunSerializer
from runs.api.run_requests import RunCreate, StatelessRunCreate, run_spec, stateless_spec
from runs.api.view import ApiView, checked
from runs.models import new_id
from runs.services.api_keys import KeyChanged
from runs.services.create import CreatedRun, create_run
from runs.services.runs import get_run, list_runs, queue_position, queue_positions
from runs.services.threads import delete_run
from runs.states import RunStatus


class RunListQuery(QuerySerializer):
    """GET /threads/{thread_id}/runs."""

    limit = query_limit_field()
    offset = query_offset_field()
    status = serializers.ChoiceField(RunStatus.choices, required=False)
    select = serializers.ListField(child=serializers.ChoiceField(RUN_MEMBERS), required=False)


class CreateView(ApiView):
    """What creates runs."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The lock under which the run is accepted confirms the key; a replay under an Idempotency-Key takes none."""
        self.recalls_keys = request.method == "POST" and not idempotency.is_sent(request)
        super().initial(request, *args, **kwargs)

    def create(
        self, request: Request, thread_id: UUID | None, expected: Expected | None = None
    ) -> tuple[CreatedRun, dict[str, str]]:
        """Parse, create; return the run and the headers that tell about it. No `thread_id`: on a thread of its own."""
        body = self.json()
        if thread_id is None:
            thread_id, spec = new_id(), stateless_spec(checked(StatelessRunCreate(data=body)))
        else:
            spec = run_spec(checked(RunCreate(data=body)), thread_id)
        key = idempotency.idempotency_of(request, body)
        created = self._accept(
            lambda: create_run(thread_id=thread_id, spec=spec, actor=self.actor, idempotency=key, expected=expected)
        )
        return created, idempotency.replay_header(created)

    def _accept(self, create: Callable[[], CreatedRun]) -> CreatedRun:
        """Create the run; once more if the key has come from memory, and its owner is not the one who was refused."""
        try:
            return create()
        except Exception as error:
            if not self.ask_who_calls() and not isinstance(error, KeyChanged):
                raise
            return create()


class RunsView(CreateView):
    """The runs of a thread."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": RunListQuery}

    @extend_schema(
        operation_id="create_run",
        request=RunCreate,
        parameters=[idempotency.PARAMETER, CONTENT_LOCATION],
        responses=CreatedRunSerializer,
    )
    def post(self, request: Request, thread_id: UUID) -> Response:
        """Accept a run; what it does to the runs in flight on the thread is its multitask strategy."""
        created, headers = self.create(request, thread_id)
        return Response(present_created(created), headers={**run_headers(created.run), **headers})

    @extend_schema(operation_id="list_runs", responses=RunSerializer(many=True))
    def get(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread's runs, the latest first; `select` leaves members out."""
        wanted = dict(self.query)
        chosen = wanted.pop("select", None)
        runs = list_runs(thread_id=thread_id, owner=self.owner, **wanted)
        places = queue_positions(thread_id) if any(run.is_in_flight for run in runs) else {}
        return Response([select(present_run(run, place=places.get(run.pk)), chosen) for run in runs])


class RunView(ApiView):
    """One run."""

    @extend_schema(operation_id="get_run", responses=RunSerializer)
    def get(self, request: Request, thread_id: UUID, run_id: UUID) -> Response:
        """Return the run."""
        run = get_run(run_id=run_id, owner=self.owner, thread_id=thread_id)
        return Response(present_run(run, place=queue_position(run)))

    @extend_schema(operation_id="delete_run", responses={204: OpenApiResponse(description="Deleted.")})
    def delete(self, request: Request, thread_id: UUID, run_id: UUID) -> Response:
        """Stop the run if it is in flight, and delete it."""
        delete_run(thread_id=thread_id, run_id=run_id, actor=self.actor)
        return Response(status=204)
