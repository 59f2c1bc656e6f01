"""Retry: a new run that repeats one that has ended. The old one keeps its end and its history."""

from uuid import UUID

from runs.actors import Actor
from runs.models import Run
from runs.services.create import CreatedRun, RunSpec, create_run
from runs.services.runs import get_run
from runs.states import DisconnectMode, MultitaskStrategy


def retry_run(
    *,
    run_id: UUID,
    actor: Actor,
    strategy: str = MultitaskStrategy.ENQUEUE,
    reason: str = "",
) -> CreatedRun:
    """Accept a new run on the same thread with the request, assistant and metadata of this one, and `retry_of` it.

    It starts from the thread's present state and belongs to the thread's owner; nobody's disconnect cancels it, for
    whoever asked for the old run does not watch the new one.
    Raises RunNotFound, NotRetryable (it has not ended), UnknownAssistant, and what admission raises: ThreadBusy,
    QueueFull, UnsupportedStrategyError, CheckpointNotFound, OutcomeUnknown. Nothing has changed then.
    """
    old = get_run(run_id=run_id, owner=actor.owner)
    spec = _spec_of(old, strategy, reason or f"retried by {actor.name}")
    return create_run(thread_id=old.thread_id, spec=spec, actor=actor)


def _spec_of(old: Run, strategy: str, reason: str) -> RunSpec:
    return RunSpec(
        assistant=old.assistant,
        kwargs=old.kwargs,
        metadata=old.metadata,
        multitask_strategy=strategy,
        on_disconnect=DisconnectMode.CONTINUE,
        timeout_seconds=old.timeout_seconds,
        max_attempts=old.max_attempts,
        on_completion=old.on_completion,
        retry_of=old.pk,
        reason=reason,
    )
