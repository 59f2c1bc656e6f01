"""/threads/{thread_id}/state and /history: what a thread holds, and held."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.fields import QuerySerializer
from runs.api.presenters import present_state, present_update, select
from runs.api.responses import ThreadStateSerializer, UpdatedStateSerializer
from runs.api.thread_requests import HistoryBody, HistoryQuery, StateAt, StateQuery, StateUpdate, fork_of, same_thread
from runs.api.view import ApiView
from runs.services.history import get_history, get_state
from runs.services.state import update_state


class StateView(ApiView):
    """The state now."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": StateQuery}

    @extend_schema(operation_id="get_state", responses=ThreadStateSerializer)
    def get(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread's state; during a run it is that of the latest step."""
        state = get_state(thread_id=thread_id, owner=self.owner)
        return Response(select(present_state(thread_id, state), self.query.get("select")))

    @extend_schema(operation_id="update_state", request=StateUpdate, responses=UpdatedStateSerializer)
    def post(self, request: Request, thread_id: UUID) -> Response:
        """Merge into the thread's state; 409 while a run is in flight."""
        asked = self.body(StateUpdate)
        chosen = fork_of(asked, thread_id)
        updated = update_state(thread_id=thread_id, actor=self.actor, values=asked["values"], checkpoint_id=chosen)
        return Response(present_update(thread_id, updated))


class StateAtCheckpointView(ApiView):
    """A former state, by the path."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": StateQuery}

    @extend_schema(operation_id="get_state_at_checkpoint", responses=ThreadStateSerializer)
    def get(self, request: Request, thread_id: UUID, checkpoint_id: UUID) -> Response:
        """Return the thread's state at a checkpoint."""
        state = get_state(thread_id=thread_id, owner=self.owner, checkpoint_id=checkpoint_id)
        return Response(select(present_state(thread_id, state), self.query.get("select")))


class StateAtView(ApiView):
    """A former state, by the body."""

    @extend_schema(operation_id="post_state_at_checkpoint", request=StateAt, responses=ThreadStateSerializer)
    def post(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread's state at a checkpoint, or now."""
        asked = self.body(StateAt)
        checkpoint = asked["checkpoint"]
        same_thread(thread_id, checkpoint)
        state = get_state(thread_id=thread_id, owner=self.owner, checkpoint_id=checkpoint.get("checkpoint_id"))
        return Response(select(present_state(thread_id, state), asked.get("select")))


class HistoryView(ApiView):
    """The state and those before it."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": HistoryQuery}

    @extend_schema(operation_id="get_history", responses=ThreadStateSerializer(many=True))
    def get(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread's states, the latest first."""
        return self._history(thread_id, self.query)

    @extend_schema(operation_id="post_history", request=HistoryBody, responses=ThreadStateSerializer(many=True))
    def post(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread's states, the latest first."""
        asked = self.body(HistoryBody)
        same_thread(thread_id, asked.get("checkpoint", {}))
        return self._history(thread_id, asked)

    def _history(self, thread_id: UUID, asked: dict[str, Any]) -> Response:
        states = get_history(
            thread_id=thread_id,
            owner=self.owner,
            limit=asked["limit"],
            before=asked.get("before"),
            metadata=asked.get("metadata"),
        )
        return Response([select(present_state(thread_id, state), asked.get("select")) for state in states])
