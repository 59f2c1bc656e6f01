"""Changing a graph's state by hand. Its reducers and edges are the graph's own, which only a worker imports: so it is a
run, with all that protects one, that does nothing else and is hidden when it has ended.
"""

from typing import Any
from uuid import UUID

from runs.actors import Actor
from runs.assistants import registry
from runs.assistants.graphs import GraphReference
from runs.errors import InvalidRequest, StateUpdateLate, UnknownAssistant
from runs.models import Checkpoint, Run, Thread
from runs.services.create import RunSpec, create_run
from runs.services.threads import delete_run
from runs.states import DisconnectMode, MultitaskStrategy, RunStatus

#: The member of `Run.kwargs` that makes a run one of these.
KEY = "state_update"


def graph_of(thread: Thread) -> GraphReference | None:
    """The graph that ran on the thread last; None: it was a function, or nothing has run yet."""
    try:
        return registry.get(str(thread.metadata.get("graph_id"))).graph
    except UnknownAssistant:
        return None


def begin_update(
    *,
    thread_id: UUID,
    graph: GraphReference,
    actor: Actor,
    values: Any,
    as_node: str | None,
    checkpoint_id: UUID | None,
) -> Run:
    """Have a worker compute the update. Raises ThreadNotFound, CheckpointNotFound, ThreadBusy."""
    return _begin(thread_id, graph, actor, {"values": values, "as_node": as_node}, checkpoint_id)


def begin_supersteps(*, thread_id: UUID, graph: GraphReference, actor: Actor, supersteps: list[Any]) -> Run:
    """Have a worker compute the state that a new thread begins with, as it was elsewhere. Raises as `begin_update`.

    `supersteps`: for each the updates of it: [{"values" or "command", "as_node"}].
    """
    return _begin(thread_id, graph, actor, {"supersteps": supersteps}, None)


def _begin(
    thread_id: UUID, graph: GraphReference, actor: Actor, update: dict[str, Any], checkpoint_id: UUID | None
) -> Run:
    kwargs: dict[str, Any] = {KEY: update, "stream_mode": ["values"]}
    if checkpoint_id is not None:
        kwargs["checkpoint_id"] = str(checkpoint_id)
    spec = RunSpec(
        assistant=graph.name,
        kwargs=kwargs,
        metadata={"source": "update"},
        multitask_strategy=MultitaskStrategy.REJECT,
        on_disconnect=DisconnectMode.CONTINUE,
    )
    return create_run(thread_id=thread_id, spec=spec, actor=actor).run


def end_update(run_id: UUID, actor: Actor) -> Checkpoint:
    """The checkpoint that the update has made; its run is hidden, and stopped if it has not ended.

    Raises InvalidRequest with what the graph said, StateUpdateLate if no worker has computed it yet.
    """
    run = Run.objects.get(pk=run_id)
    delete_run(thread_id=run.thread_id, run_id=run.pk, actor=actor)
    run.refresh_from_db()
    made = Checkpoint.objects.filter(run=run).order_by("-step", "-pk").first()
    if run.status == RunStatus.SUCCESS and made is not None:
        return made
    if run.status == RunStatus.ERROR and run.error is not None:
        raise InvalidRequest(f"{run.error['type']}: {run.error['message']}")
    raise StateUpdateLate
