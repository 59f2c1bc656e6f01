"""What a new run does to the runs in flight on its thread."""

from collections.abc import Callable
from uuid import UUID

from runs.actors import Actor
from runs.conf import runs_settings
from runs.errors import QueueFull, ThreadBusy, UnsupportedStrategyError
from runs.locks import LockedThread
from runs.models import Run
from runs.services.stop import stop_run
from runs.states import CancelAction, MultitaskStrategy, RunStatus


def admit(locked: LockedThread, strategy: str, *, new_run_id: UUID, actor: Actor) -> list[Run]:
    """Make room for the new run and return the runs it displaced, or raise ThreadBusy or QueueFull."""
    return MULTITASK[parse_strategy(strategy)](locked, new_run_id, actor)


def parse_strategy(strategy: str) -> MultitaskStrategy:
    """Return the strategy, or raise UnsupportedStrategyError naming it and those that are supported."""
    try:
        return MultitaskStrategy(strategy)
    except ValueError:
        supported = ", ".join(MultitaskStrategy)
        raise UnsupportedStrategyError(
            f"Multitask strategy {strategy!r} is not supported. Supported: {supported}."
        ) from None


def reject(locked: LockedThread, new_run_id: UUID, actor: Actor) -> list[Run]:
    """Refuse if anything is in flight; a stopping run is not."""
    if locked.in_flight:
        raise ThreadBusy
    return []


def enqueue(locked: LockedThread, new_run_id: UUID, actor: Actor) -> list[Run]:
    """Wait behind what is in flight; refuse if too many wait already."""
    waiting = sum(run.status == RunStatus.PENDING for run in locked.in_flight)
    if waiting >= runs_settings().MAX_QUEUED_RUNS:
        raise QueueFull
    return []


def interrupt(locked: LockedThread, new_run_id: UUID, actor: Actor) -> list[Run]:
    """End everything in flight; its committed steps stay."""
    return _displace(locked, CancelAction.INTERRUPT, new_run_id, actor)


def rollback(locked: LockedThread, new_run_id: UUID, actor: Actor) -> list[Run]:
    """End everything in flight and return the thread to the base of the run that had begun."""
    return _displace(locked, CancelAction.ROLLBACK, new_run_id, actor)


def _displace(locked: LockedThread, action: CancelAction, new_run_id: UUID, actor: Actor) -> list[Run]:
    displaced = locked.in_flight
    for run in displaced:
        reason = f"displaced by run {new_run_id} ({action})"
        stop_run(locked, run, action=action, actor=actor, reason=reason, displaced_by_id=new_run_id)
    return displaced


MULTITASK: dict[MultitaskStrategy, Callable[[LockedThread, UUID, Actor], list[Run]]] = {
    MultitaskStrategy.REJECT: reject,
    MultitaskStrategy.INTERRUPT: interrupt,
    MultitaskStrategy.ROLLBACK: rollback,
    MultitaskStrategy.ENQUEUE: enqueue,
}
