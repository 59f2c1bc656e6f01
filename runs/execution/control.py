"""Remote control: our own commands, and Celery's revoke translated into cancels.

Celery's own `revoke(terminate=True)` with a soft signal marks the pool child for good: a later, innocent run that is
killed in it by the system is reported as revoked and lost. So it never reaches a run.
"""

import signal as signals
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from celery.utils.functional import maybe_list
from celery.worker import control
from celery.worker import state as worker_state
from celery.worker.control import control_command

from runs.dispatch import EXECUTE_RUN, FORCE_STOP_RUN, INTERRUPT_RUN, READ_WORKER_ROW
from runs.execution.worker import current_keeper

# Typed by hand: the stubs know these functions only by their commands.
_celery: Any = control
_celery_revoke = _celery.revoke
_celery_revoke_by_stamped_headers = _celery.revoke_by_stamped_headers
ok = _celery.ok
_KILL = {signals.SIGKILL, int(signals.SIGKILL), "KILL", "SIGKILL"}


@control_command(
    name=INTERRUPT_RUN, args=[("run_id", str), ("attempt", int), ("status", str)], signature="<run_id> <attempt>"
)
def interrupt_run(_state: Any, run_id: str, attempt: int, status: str = "interrupted", **_: Any) -> Any:
    """Stop this attempt if it is executed here. A hint: its row says so already."""
    keeper = current_keeper()
    if (
        keeper is not None
        and (parsed := run_id_of(run_id)) is not None
        and keeper.interrupt(parsed, int(attempt), status)
    ):
        return ok(f"interrupting run {run_id}")
    return None


@control_command(name=FORCE_STOP_RUN, args=[("run_id", str), ("attempt", int)], signature="<run_id> <attempt>")
def force_stop_run(_state: Any, run_id: str, attempt: int, **_: Any) -> Any:
    """Kill the process that executes this attempt now."""
    keeper = current_keeper()
    if keeper is not None and (parsed := run_id_of(run_id)) is not None:
        keeper.force_stop(parsed, int(attempt))
    return None


@control_command(name=READ_WORKER_ROW, args=[("worker_id", str)], signature="<worker_id>")
def read_worker_row(_state: Any, worker_id: str, **_: Any) -> Any:
    """Renew the lease of this worker now, and heed what its row says. A hint: it does so every few seconds anyway."""
    keeper = current_keeper()
    if keeper is not None and keeper.is_worker(worker_id):
        keeper.read_row()
        return ok(f"reading the row of worker {worker_id}")
    return None


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **kwargs: Any) -> Any:
    """Revoke tasks by id, as Celery does; a run is cancelled, however it was to be terminated."""
    ids = [str(one) for one in maybe_list(task_id) or []]
    runs = [one for one in ids if _may_be_run(one)]
    others = [one for one in ids if one not in runs]
    if runs:
        worker_state.revoked.update(runs)  # from here on their messages are discarded
        _cancel(runs, force=terminate and signal in _KILL)
    if others:
        return _celery_revoke(state, others, terminate=terminate, signal=signal, **kwargs)
    return ok(f"cancelling runs {', '.join(runs)}")


@control_command(variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]")
def terminate(state: Any, signal: Any, task_id: Any, **kwargs: Any) -> Any:
    """Terminate tasks by id, as Celery does; a run is cancelled."""
    return revoke(state, task_id, terminate=True, signal=signal)


@control_command(variadic="headers", signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]")
def revoke_by_stamped_headers(
    state: Any, headers: Any, terminate: bool = False, signal: Any = None, **kwargs: Any
) -> Any:
    """Revoke tasks by their stamps, as Celery does; a run among them is cancelled."""
    stamped = list(_runs_stamped(headers))
    _cancel(stamped, force=terminate and signal in _KILL)
    return _celery_revoke_by_stamped_headers(
        state, headers, terminate=terminate and not stamped, signal=signal, **kwargs
    )


def run_id_of(task_id: Any) -> UUID | None:
    """The id as a run's; None if it cannot be one."""
    try:
        return UUID(str(task_id))
    except ValueError:
        return None


def _may_be_run(task_id: str) -> bool:
    """Whether the id is a run's, or unknown here: a queued run is unknown, and our own table outlives Celery's.

    A duplicate message of a run removes Celery's entry for it when it ends, while the run goes on.
    """
    run_id = run_id_of(task_id)
    keeper = current_keeper()
    if run_id is None or keeper is None:
        return False
    request = worker_state.requests.get(task_id)
    return keeper.executes(run_id) or request is None or request.type == EXECUTE_RUN


def _runs_stamped(headers: Any) -> Iterable[str]:
    wanted = (
        dict(headers) if isinstance(headers, dict) else dict(pair.split("=", 1) for pair in maybe_list(headers) or [])
    )
    for request in list(worker_state.requests.values()):
        stamps = getattr(request, "stamps", None) or {}
        matches = any(
            set(maybe_list(stamps.get(key)) or []) & set(maybe_list(value) or []) for key, value in wanted.items()
        )
        if request.type == EXECUTE_RUN and matches:
            yield request.id


def _cancel(task_ids: Iterable[str], *, force: bool) -> None:
    keeper = current_keeper()
    for task_id in task_ids:
        if keeper is not None and (run_id := run_id_of(task_id)) is not None:
            keeper.cancel_from_outside(run_id, force=force)
