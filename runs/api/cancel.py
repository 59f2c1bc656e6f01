"""Cancelling runs: one by its address, several by a body."""

from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.fields import IdField, QueryFlagField, QuerySerializer, StrictSerializer
from runs.api.links import join_headers
from runs.api.view import ApiView
from runs.api.waiting import give_back_connection, settled
from runs.conf import runs_settings
from runs.errors import RunNotFound
from runs.models import Run
from runs.services.cancel import cancel_run, cancel_runs
from runs.services.results import exist
from runs.states import IN_FLIGHT, CancelAction, RunStatus

_LONGEST_REASON = 500
_MOST_RUNS = 1000


class BulkCancelQuery(QuerySerializer):
    """POST /runs/cancel."""

    action = serializers.ChoiceField(CancelAction.choices, default=CancelAction.INTERRUPT)
    reason = serializers.CharField(max_length=_LONGEST_REASON, required=False)


class CancelQuery(BulkCancelQuery):
    """POST /threads/{thread_id}/runs/{run_id}/cancel."""

    wait = QueryFlagField(default=False, help_text="Answer when the run's executor has left.")


class CancelView(ApiView):
    """Cancel one run."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"POST": CancelQuery}

    @extend_schema(
        operation_id="cancel_run",
        request=None,
        responses={
            202: OpenApiResponse(description="Cancelled; its executor may still be leaving."),
            204: OpenApiResponse(description="With `wait`: cancelled, and its executor has left."),
        },
    )
    def post(self, request: Request, thread_id: UUID, run_id: UUID) -> Response:
        """Cancel the run; repeating it changes nothing and answers the same. 409 if it has ended by itself."""
        self.no_body()
        run = cancel_run(
            run_id=run_id,
            thread_id=thread_id,
            actor=self.actor,
            action=self.query["action"],
            reason=self.query.get("reason", ""),
        )
        if not self.query["wait"]:
            return Response(status=202)
        return answer_when_settled(run)


def answer_when_settled(run: Run) -> Response:
    """204 when the run's executor has left; 202 if that takes too long."""
    give_back_connection()
    done = async_to_sync(settled)(run.pk, within=runs_settings().CANCEL_WAIT_SECONDS)
    return Response(status=204 if done else 202, headers=join_headers(run))


class BulkCancel(StrictSerializer):
    """Either runs of a thread, or runs in a status."""

    thread_id = IdField(required=False)
    run_ids = serializers.ListField(child=IdField(), max_length=_MOST_RUNS, required=False)
    status = serializers.ChoiceField(["pending", "running", "all"], required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of the two shapes."""
        if set(attrs) not in ({"thread_id", "run_ids"}, {"status"}):
            raise serializers.ValidationError("Send either thread_id and run_ids, or status.")
        return attrs


class BulkCancelView(ApiView):
    """Cancel several runs."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"POST": BulkCancelQuery}

    @extend_schema(
        operation_id="cancel_runs",
        request=BulkCancel,
        responses={204: OpenApiResponse(description="At least one run was cancelled.")},
    )
    def post(self, request: Request) -> Response:
        """Cancel the runs in flight that match; those that have ended are left alone."""
        asked = self.body(BulkCancel)
        status = asked.get("status", "all")
        wanted: dict[str, Any] = {
            "thread_id": asked.get("thread_id"),
            "run_ids": asked.get("run_ids"),
            "statuses": sorted(IN_FLIGHT) if status == "all" else [RunStatus(status)],
        }
        options: dict[str, Any] = {"action": self.query["action"], "reason": self.query.get("reason", "")}
        if cancel_runs(actor=self.actor, **wanted, **options):
            return Response(status=204)
        raise RunNotFound(_NO_MATCH if exist(owner=self.owner, **wanted) else "No runs found to cancel.")


_NO_MATCH = (
    "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs haven't been "
    "deleted or completed."
)
