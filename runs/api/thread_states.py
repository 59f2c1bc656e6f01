"""/threads/{thread_id}/state and /history: what a thread holds, and held."""

from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import async_to_sync
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.fields import QuerySerializer
from runs.api.presenters import select
from runs.api.responses import ThreadStateSerializer, UpdatedStateSerializer
from runs.api.state_presenters import present_state, present_subgraph_state, present_update
from runs.api.thread_requests import HistoryBody, HistoryQuery, StateAt, StateQuery, StateUpdate, fork_of, same_thread
from runs.api.view import ApiView
from runs.api.waiting import give_back_connection, settled
from runs.assistants.graphs import GraphReference
from runs.conf import runs_settings
from runs.models import Checkpoint
from runs.services.graph_state import begin_update, end_update, graph_of
from runs.services.history import get_history, get_state, get_thread
from runs.services.state import update_state
from runs.services.subgraph_states import SubgraphStates


class StateView(ApiView):
    """The state now."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": StateQuery}

    @extend_schema(operation_id="get_state", responses=ThreadStateSerializer)
    def get(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread's state; during a run it is that of the latest step."""
        state = get_state(thread_id=thread_id, owner=self.owner)
        shown = present_state(thread_id, state, live=True, subgraphs=self.query["subgraphs"])
        return Response(select(shown, self.query.get("select")))

    @extend_schema(operation_id="update_state", request=StateUpdate, responses=UpdatedStateSerializer)
    def post(self, request: Request, thread_id: UUID) -> Response:
        """Merge into the thread's state; 409 while a run is in flight."""
        asked = self.body(StateUpdate)
        chosen = fork_of(asked, thread_id)
        graph = graph_of(get_thread(thread_id=thread_id, owner=self.owner))
        if graph is not None:
            return Response(present_update(thread_id, self._update_graph(thread_id, graph, asked, chosen)))
        if asked.get("as_node") is not None:
            raise ValidationError({"as_node": "Only graphs have nodes, and no graph has run on this thread."})
        values = asked.get("values") or {}
        updated = update_state(thread_id=thread_id, actor=self.actor, values=values, checkpoint_id=chosen)
        return Response(present_update(thread_id, updated))

    def _update_graph(
        self, thread_id: UUID, graph: GraphReference, asked: dict[str, Any], chosen: UUID | None
    ) -> Checkpoint:
        """Wait for the worker that computes it, without a database connection."""
        run = begin_update(
            thread_id=thread_id,
            graph=graph,
            actor=self.actor,
            values=asked.get("values"),
            as_node=asked.get("as_node"),
            checkpoint_id=chosen,
        )
        give_back_connection()
        async_to_sync(settled)(run.pk, within=runs_settings().STATE_UPDATE_SECONDS)
        return end_update(run.pk, self.actor)


class StateAtCheckpointView(ApiView):
    """A former state, by the path."""

    queries: ClassVar[dict[str, type[QuerySerializer]]] = {"GET": StateQuery}

    @extend_schema(operation_id="get_state_at_checkpoint", responses=ThreadStateSerializer)
    def get(self, request: Request, thread_id: UUID, checkpoint_id: UUID) -> Response:
        """Return the thread's state at a checkpoint."""
        state = get_state(thread_id=thread_id, owner=self.owner, checkpoint_id=checkpoint_id)
        shown = present_state(thread_id, state, subgraphs=self.query["subgraphs"])
        return Response(select(shown, self.query.get("select")))


class StateAtView(ApiView):
    """A former state, by the body."""

    @extend_schema(operation_id="post_state_at_checkpoint", request=StateAt, responses=ThreadStateSerializer)
    def post(self, request: Request, thread_id: UUID) -> Response:
        """Return the thread's state at a checkpoint, or now."""
        asked = self.body(StateAt)
        checkpoint = asked["checkpoint"]
        same_thread(thread_id, checkpoint)
        if checkpoint.get("checkpoint_ns"):
            shown = self._of_subgraph(thread_id, checkpoint, asked["subgraphs"])
            return Response(select(shown, asked.get("select")))
        state = get_state(thread_id=thread_id, owner=self.owner, checkpoint_id=checkpoint.get("checkpoint_id"))
        live = checkpoint.get("checkpoint_id") is None
        shown = present_state(thread_id, state, live=live, subgraphs=asked["subgraphs"])
        return Response(select(shown, asked.get("select")))

    def _of_subgraph(self, thread_id: UUID, checkpoint: dict[str, Any], subgraphs: bool) -> dict[str, Any]:
        states = SubgraphStates.of(thread_id=thread_id, owner=self.owner)
        namespace, named = checkpoint["checkpoint_ns"], checkpoint.get("checkpoint_id")
        found = states.latest(namespace) if named is None else states.named(namespace, named)
        inside = states if subgraphs else None
        return present_subgraph_state(thread_id, namespace, found, live=named is None, inside=inside)


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
        wanted = {"limit": asked["limit"], "before": asked.get("before"), "metadata": asked.get("metadata")}
        if namespace := asked.get("checkpoint", {}).get("checkpoint_ns"):
            inside = SubgraphStates.of(thread_id=thread_id, owner=self.owner).history(namespace, **wanted)
            shown = [present_subgraph_state(thread_id, namespace, one) for one in inside]
        else:
            states = get_history(thread_id=thread_id, owner=self.owner, **wanted)
            shown = [present_state(thread_id, one) for one in states]
        return Response([select(one, asked.get("select")) for one in shown])
