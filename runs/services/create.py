"""Admission: a run is accepted, with everything it displaces, in one transaction under the thread's lock."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from runs import dispatch
from runs.actors import Actor
from runs.conf import runs_settings
from runs.errors import (
    CheckpointNotFound,
    InvalidRequest,
    NotRetryable,
    OutcomeUnknown,
    RunNotFound,
    ThreadDeleting,
    ThreadNotFound,
)
from runs.jsonvalues import check_storable
from runs.locks import LockedThread, lock_or_insert_thread, lock_thread
from runs.logcontext import bind
from runs.models import Checkpoint, Compared, Run, Thread, new_id
from runs.services.chosen import choose_assistant
from runs.services.idempotency import Idempotency, bind_key, take_key
from runs.services.measure import accepted_on_commit, count_accepted, refusals
from runs.services.multitask import admit, parse_strategy
from runs.services.threads import refuse_while_deleting
from runs.services.transition import insert_run
from runs.states import DisconnectMode, OnCompletion
from runs.tracing import create_span
from runs.transactions import atomic, was_refused

LONGEST_MODEL_NAME = 128
LONGEST_DELAY_SECONDS = 366 * 24 * 3600
MOST_ATTEMPTS = 100
#: What is said of the nodes of a graph; a function has none.
ONLY_GRAPHS = ("command", "interrupt_before", "interrupt_after")


@dataclass(kw_only=True)
class RunSpec:
    """What a caller asks for. `None` takes the default of the settings or of the assistant."""

    assistant: str
    #: As which assistant, if not that of the name: a run that is repeated keeps its own, which may be gone.
    assistant_id: UUID | None = None
    #: The request as accepted: input, command, config, context, checkpoint_id, stream_mode and the like.
    kwargs: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    multitask_strategy: str | None = None
    on_disconnect: str | None = None
    after_seconds: float | None = None
    timeout_seconds: float | None = None
    max_attempts: int | None = None
    model_name: str | None = None
    #: Make the thread if it does not exist yet.
    create_thread: bool = False
    thread_metadata: dict[str, Any] = field(default_factory=dict)
    on_completion: str = OnCompletion.KEEP
    #: The run of the same thread that this one repeats.
    retry_of: UUID | None = None
    #: What the run's first event says.
    reason: str = "created"


@dataclass(frozen=True)
class CreatedRun:
    """The accepted run, the runs it displaced, and whether the Idempotency-Key was known already."""

    run: Run
    displaced: Sequence[Run] = ()
    replayed: bool = False
    #: How many runs of the thread go before a new one.
    place: int = 0


class Expectation(Protocol):
    """Of somebody who listens for what happens to the run from before it is there."""

    run_id: UUID

    def before_commit(self) -> None:
        """Everything that will happen to the run happens after this."""


def create_run(
    *,
    thread_id: UUID,
    spec: RunSpec,
    actor: Actor,
    idempotency: Idempotency | None = None,
    expected: Expectation | None = None,
) -> CreatedRun:
    """Accept a run on the thread, all or nothing: strategy, displacement, insert, and the hand-over to Celery.

    Raises ThreadNotFound, ThreadBusy, QueueFull, ThreadDeleting, UnknownAssistant, AssistantNotFound,
    UnsupportedStrategyError, CheckpointNotFound, RunNotFound, NotRetryable, InvalidRequest, IdempotencyKeyReused,
    RunGone; nothing has changed then. Raises OutcomeUnknown with the run's id when the database did not confirm the
    commit.
    """
    with refusals([spec]):
        run = _build_run(thread_id, spec, actor, expected.run_id if expected else new_id())
        bind(thread=thread_id, run=run.pk)
        with create_span(run.pk, thread_id) as run.traceparent:
            return _commit(lambda: [_admit(run, spec, actor, idempotency)], expected)[0]


def create_runs(*, specs: Sequence[RunSpec], actor: Actor, idempotency: Idempotency | None = None) -> list[CreatedRun]:
    """Accept runs on new threads, one each: all of them or none. Raises what `create_run` raises."""
    specs = [replace(spec, create_thread=True) for spec in specs]
    with refusals(specs):
        runs = [_build_run(new_id(), spec, actor, new_id()) for spec in specs]
        keys = [idempotency and idempotency.part(number) for number in range(len(specs))]
        wanted = list(zip(runs, specs, keys, strict=True))
        for run in runs:
            with create_span(run.pk, run.thread_id) as run.traceparent:
                pass
        return _commit(lambda: [_admit(run, spec, actor, key) for run, spec, key in wanted])


def _commit(admit_all: Callable[[], list[CreatedRun]], expected: Expectation | None = None) -> list[CreatedRun]:
    """Admit in one transaction; if the answer to its commit is lost, read what has become of it."""
    created: list[CreatedRun] = []
    try:
        with atomic():
            created = admit_all()
            if expected is not None:
                expected.before_commit()
    except (OperationalError, InterfaceError) as error:
        if not created or was_refused(error):
            raise
        return [_look_up(one) for one in created]
    return created


def _admit(run: Run, spec: RunSpec, actor: Actor, idempotency: Idempotency | None) -> CreatedRun:
    if idempotency is not None and (known := take_key(idempotency, actor)) is not None:
        displaced = list(Run.objects.filter(displaced_by=known).order_by("sequence"))
        return CreatedRun(run=known, displaced=displaced, replayed=True)
    locked = _lock(run.thread_id, spec, actor)
    _check_stays(locked)
    _check_retried(locked, spec)
    _check_checkpoint(locked, spec)
    displaced = admit(locked, run.multitask_strategy, new_run_id=run.pk, actor=actor)
    if displaced:  # a rollback has given up what they had written
        _check_checkpoint(locked, spec)
    _insert(locked, run, spec, actor)
    if idempotency is not None:
        bind_key(idempotency, actor, run)
    return CreatedRun(run=run, displaced=displaced, place=_place(locked, run))


def _lock(thread_id: UUID, spec: RunSpec, actor: Actor) -> LockedThread:
    if not spec.create_thread:
        return lock_thread(thread_id, owner=actor.owner, unconfirmed=actor.unconfirmed)
    thread = Thread(id=thread_id, owner=actor.owner, metadata=spec.thread_metadata)
    try:
        return lock_or_insert_thread(thread, unconfirmed=actor.unconfirmed)
    except ThreadNotFound:
        refuse_while_deleting(thread_id, actor)
        raise


def _look_up(created: CreatedRun) -> CreatedRun:
    """The answer to COMMIT was lost: whether it happened can be read, unless the database cannot be asked."""
    connection.close()
    try:
        committed = Run.objects.filter(pk=created.run.pk).exists()
    except DatabaseError:
        committed = False
    if not committed:
        raise OutcomeUnknown(run_id=str(created.run.pk), thread_id=str(created.run.thread_id))
    if not created.replayed:  # the hooks went with the transaction
        count_accepted(created.run)
    if created.run.dispatched_at is not None:
        dispatch.publish_on_commit(created.run)
    return created


def _build_run(thread_id: UUID, spec: RunSpec, actor: Actor, run_id: UUID) -> Run:
    """Everything that can be refused without the database is refused here, before any lock is taken."""
    defaults = runs_settings()
    chosen = choose_assistant(spec.assistant, owner=actor.owner)
    strategy = parse_strategy(spec.multitask_strategy or defaults.default_multitask_strategy)
    _check(spec)
    if chosen.is_function:
        _check_for_function(chosen.graph_id, spec.kwargs)
    kwargs = chosen.complete(spec.kwargs)
    return Run(
        id=run_id,
        thread_id=thread_id,
        assistant=chosen.graph_id,
        assistant_id=spec.assistant_id or chosen.assistant_id,
        multitask_strategy=strategy,
        on_disconnect=_parse_disconnect(spec.on_disconnect or defaults.default_on_disconnect),
        on_completion=OnCompletion(spec.on_completion),
        metadata=chosen.name_in(spec.metadata),
        kwargs=kwargs,
        model_name=spec.model_name or _model_name(kwargs),
        request_id=actor.request_id,
        retry_of_id=spec.retry_of,
        max_attempts=defaults.MAX_ATTEMPTS if spec.max_attempts is None else spec.max_attempts,
        timeout_seconds=_time_limit(spec, chosen.timeout_seconds),
    )


def _model_name(kwargs: dict[str, Any]) -> str | None:
    """The model that was asked for; the assistant may report another one later."""
    name = (kwargs.get("context") or {}).get("model_name")
    return name.strip()[:LONGEST_MODEL_NAME] or None if isinstance(name, str) else None


def _check_for_function(graph_id: str, kwargs: dict[str, Any]) -> None:
    for name in ONLY_GRAPHS:
        if kwargs.get(name):
            raise InvalidRequest(f"{name}: Only graphs have this; {graph_id!r} is a function. Send `input`.")
    if kwargs.get("durability") == "exit":
        raise InvalidRequest("durability: every step of a function is durable before the next begins.")


def _check(spec: RunSpec) -> None:
    check_storable(spec.kwargs, "kwargs")
    check_storable(spec.metadata, "metadata")
    check_storable(spec.model_name, "model_name")
    if spec.model_name is not None and len(spec.model_name) > LONGEST_MODEL_NAME:
        raise InvalidRequest(f"model_name must not be longer than {LONGEST_MODEL_NAME} characters")
    if spec.max_attempts is not None and not 1 <= spec.max_attempts <= MOST_ATTEMPTS:
        raise InvalidRequest(f"max_attempts must be from 1 to {MOST_ATTEMPTS}")
    if spec.timeout_seconds is not None and not 0 < spec.timeout_seconds < math.inf:
        raise InvalidRequest("timeout_seconds must be greater than 0 and finite")
    if spec.after_seconds is not None and not 0 <= spec.after_seconds <= LONGEST_DELAY_SECONDS:
        raise InvalidRequest(f"after_seconds must be from 0 to {LONGEST_DELAY_SECONDS}")


def _parse_disconnect(value: str) -> DisconnectMode:
    try:
        return DisconnectMode(value)
    except ValueError as error:
        raise InvalidRequest(f"on_disconnect must be one of {', '.join(DisconnectMode)}") from error


def _time_limit(spec: RunSpec, of_assistant: float | None) -> float:
    """The shortest of what the request, the assistant and the server allow: every run ends."""
    limits = (spec.timeout_seconds, of_assistant, runs_settings().MAX_RUN_SECONDS)
    return min(limit for limit in limits if limit is not None)


def _check_stays(locked: LockedThread) -> None:
    """A stateless run takes its thread with it, and whatever was accepted on it would be gone with its own."""
    if any(run.on_completion == OnCompletion.DELETE for run in locked.runs):
        raise ThreadDeleting("The thread goes when its stateless run has ended.")


def _check_retried(locked: LockedThread, spec: RunSpec) -> None:
    """Under the lock, as everything that is decided: the run may be deleted meanwhile."""
    if spec.retry_of is None:
        return
    there = Run.objects.filter(Compared(thread=locked.thread, deleted_at=None), pk=spec.retry_of)
    retried = there.only("status").first()
    if retried is None:
        raise RunNotFound
    if not retried.is_terminal:
        raise NotRetryable(f"Run {retried.pk} is {retried.status}: only a run that has ended can be retried.")


def _check_checkpoint(locked: LockedThread, spec: RunSpec) -> None:
    checkpoint_id = spec.kwargs.get("checkpoint_id")
    if checkpoint_id is None:
        return
    if not Checkpoint.objects.forkable_on(locked.thread, checkpoint_id).exists():
        raise CheckpointNotFound


def _insert(locked: LockedThread, run: Run, spec: RunSpec, actor: Actor) -> None:
    run.thread = locked.thread
    run.created_at = run.updated_at = locked.now
    run.owner_id = locked.thread.owner_id
    if spec.after_seconds:
        run.not_before = locked.now + timedelta(seconds=spec.after_seconds)
    if goes_first := _goes_first(locked, run):
        run.dispatched_at, run.dispatches = locked.now, 1
    insert_run(locked, run, actor=actor, reason=spec.reason, **_description(locked, run))
    accepted_on_commit(run)
    if goes_first:
        dispatch.publish_on_commit(run)


def _goes_first(locked: LockedThread, run: Run) -> bool:
    """Whether the new run could be claimed now: it is the last of all that are due."""
    return locked.leased is None and locked.first_in_queue() is None and run.is_due(locked.now)


def _place(locked: LockedThread, run: Run) -> int:
    """It has been accepted last: whatever is due when it is goes before it."""
    when = run.not_before or locked.now
    return sum(other.is_due(when) for other in locked.in_flight if other.pk != run.pk)


def _description(locked: LockedThread, run: Run) -> dict[str, Any]:
    """LangGraph finds threads by the graph that ran on them: the thread's metadata names the latest."""
    thread = locked.thread
    if "state_update" in run.kwargs:  # by hand: nothing has run
        return {}
    names = {"graph_id": run.assistant, "assistant_id": str(run.assistant_id)}
    config = {key: value for key, value in (run.kwargs.get("config") or {}).items() if key != "configurable"}
    if names.items() <= thread.metadata.items() and thread.config == config:
        return {}
    return {"metadata": thread.metadata | names, "config": config}
