"""Named places in the product at which a process dies when the test has armed them.

Loaded into workers, web processes and schedulers by the tests alone (see `install`); the product knows nothing of it.
An armed place is a file, and whoever removes it dies: one kill for each arming, whichever process comes first.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.ledger import VARIABLE, entries, note, wait_until

#: Under which crashes are noted.
LEDGER = "crashes"
#: Who dies: the process that comes by, or the worker's main process, and its children with it. Or both are stopped.
CHILD, WORKER, STOPPED = "child", "worker", "stopped"


@dataclass(frozen=True)
class Point:
    """Before or after each call of the function at this path."""

    target: str
    before: bool
    #: Only a call that returned something: a claim that was lost, by a duplicate message, is none.
    won: bool = False


def _before(target: str) -> Point:
    return Point(target, before=True)


def _after(target: str) -> Point:
    return Point(target, before=False)


POINTS = {
    "before the claim": _before("runs.execution.delivery.claim_run"),
    "inside the claim": _after("runs.services.lifecycle._begin_attempt"),
    "after the claim": Point("runs.execution.delivery.claim_run", before=False, won=True),
    "before a step": _before("runs.execution.attempt.write_checkpoint"),
    "inside a step": _after("runs.services.checkpoints.insert_heads"),
    "after a step": _after("runs.execution.attempt.write_checkpoint"),
    "after a frame": _after("runs.streaming.log.append"),
    "before a graph's writes": _before("runs.execution.graphs.journal.put_graph_writes"),
    "inside a graph's writes": _after("runs.services.graph_writes.apply_graph_writes"),
    "after a graph's writes": _after("runs.execution.graphs.journal.put_graph_writes"),
    "inside a graph's outcome": _after("runs.services.lifecycle.apply_graph_writes"),
    "before the finish": _before("runs.execution.attempt.finish_run"),
    "inside the finish": _before("runs.services.lifecycle.release"),
    "between commit and publish": _before("runs.broker.send_task"),
    "after the publish": _after("runs.broker.send_task"),
    "between commit and end marker": _before("runs.streaming.log.append_end"),
    "after the finish": _after("runs.execution.attempt.finish_run"),
    "before the acknowledgement": _before("celery.worker.request.Request.acknowledge"),
    "before the lease is given back": _before("runs.execution.attempt.executor_gone"),
    "inside a settlement": _after("runs.services.lifecycle._settle"),
    "inside a hand-back": _after("runs.services.lifecycle._hand_back"),
    "after a hand-back": _after("runs.execution.keeper.executor_gone"),
    "inside a time-out": _before("runs.dispatch.interrupt_on_commit"),
    "after a time-out": _after("runs.execution.keeper.time_out_run"),
    "inside a burial": _after("runs.services.workers.lock_expired_worker"),
    "after a burial": _after("runs.services.recover.bury_worker"),
    "inside a recovery": _after("runs.services.lifecycle._hand_back"),
    "inside a dispatch": _after("runs.services.recover.dispatch_next"),
}


def install() -> None:
    """Make every place mortal, in this process and those that it forks."""
    main = os.getpid()
    by_target: dict[str, list[str]] = {}
    for name, point in POINTS.items():
        by_target.setdefault(point.target, []).append(name)
    for target, names in by_target.items():
        _wrap(target, names, main)


def _wrap(target: str, names: list[str], main: int) -> None:
    holder, attribute = _find(target)
    original = getattr(holder, attribute)
    before = [name for name in names if POINTS[name].before]
    after = [name for name in names if not POINTS[name].before]

    @wraps(original)
    def mortal(*args: Any, **kwargs: Any) -> Any:
        for name in before:
            _pass_by(name, main)
        result = original(*args, **kwargs)
        for name in after:
            if result is not None or not POINTS[name].won:
                _pass_by(name, main)
        return result

    setattr(holder, attribute, mortal)


def _find(target: str) -> tuple[Any, str]:
    """The module or class that has it, and its name there."""
    path, _, attribute = target.rpartition(".")
    try:
        return import_module(path), attribute
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name), attribute


def _pass_by(point: str, main: int) -> None:
    for victim in (CHILD, WORKER, STOPPED):
        try:
            _armed(point, victim).unlink()
        except FileNotFoundError:
            continue
        note(LEDGER, 0, point, victim=victim, parent=main)
        signum = signal.SIGSTOP if victim == STOPPED else signal.SIGKILL
        if victim != CHILD:
            os.kill(main, signum)
        os.kill(os.getpid(), signum)


def arm(point: str, victim: str = CHILD) -> Callable[[], int]:
    """The next process that comes to this place dies there. Returns what waits for that and returns its pid."""
    assert point in POINTS, point
    deaths = len(entries(LEDGER, point))
    _armed(point, victim).touch()

    def wait() -> int:
        def died() -> int | None:
            noted = entries(LEDGER, point)
            return noted[deaths].pid if len(noted) > deaths else None

        try:
            return wait_until(died, f"somebody to die {point}", 60.0)
        except AssertionError as error:
            raise AssertionError(f"{error}; {_who_was_there()}") from None

    return wait


def _who_was_there() -> str:
    """Somebody who cannot die, and should not be there, may have done what the other was to die of."""
    from runs.models import Run, Worker

    living = [f"{worker.id} on {worker.host}" for worker in Worker.objects.filter(buried_at=None)]
    latest = [f"{run.id} {run.status} by {run.worker_id}" for run in Run.objects.order_by("-updated_at")[:3]]
    return f"workers {living}, latest runs {latest}"


def disarm() -> None:
    """Nobody dies any more."""
    for armed in Path(os.environ[VARIABLE]).glob("*.armed"):
        armed.unlink(missing_ok=True)


def _armed(point: str, victim: str) -> Path:
    return Path(os.environ[VARIABLE], f"{point}.{victim}.armed")
