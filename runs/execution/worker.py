"""How the execution of runs hangs on Celery's worker signals."""

import atexit
import logging
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

from billiard.process import current_process
from celery import signals
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from runs import __version__
from runs.assistants.graphs import configured_project
from runs.assistants.graphs.loading import GraphNotLoaded, load
from runs.broker import keep_clients
from runs.execution.announcements import GatherEvents
from runs.execution.connections import begin_async_thread
from runs.execution.consumption import Consumption
from runs.execution.keeper import Keeper
from runs.execution.lost_broker import survive_lost_connections
from runs.execution.notes import note_without_waiting
from runs.execution.replacement import ReplaceDeadChildren
from runs.execution.slots import Slot, SlotTable
from runs.exposition import serve_in_thread
from runs.pools import LOOP_POOL, is_known

logger = logging.getLogger(__name__)


@dataclass
class _Process:
    """What this process is: a main process has a table and a keeper, a pool child a slot."""

    table: SlotTable | None = None
    slot: Slot | None = None
    keeper: Keeper | None = None


_process = _Process()
_PREFORK_ONLY = "Runs are executed by the prefork pool only: start the worker with --pool prefork."
_POOLS = (
    "Runs are executed by the prefork pool, or by that of loop processes: start the worker with --pool prefork, or "
    f"with --pool custom and CELERY_CUSTOM_WORKER_POOL={LOOP_POOL}. Celery's other pools cannot interrupt a run."
)


def current_slot() -> Slot:
    """The slot of this pool child. Raises ImproperlyConfigured outside of one: runs need the prefork pool."""
    if _process.slot is None:
        raise ImproperlyConfigured(_PREFORK_ONLY)
    return _process.slot


def shared_table() -> SlotTable:
    """The shared memory of this worker."""
    if _process.table is None:
        raise ImproperlyConfigured(_POOLS)
    return _process.table


def current_keeper() -> Keeper | None:
    """The lease keeper of this worker; None before the worker is ready, and outside of a main process."""
    return _process.keeper


@signals.worker_init.connect
def on_worker_init(sender: Any = None, **_: Any) -> None:
    """In the main process, before the pool is forked: the shared memory and the assistants' modules.

    Exits if the worker could execute nothing, or not as promised: another exception would be logged by Celery, and the
    worker would start.
    """
    from runs.execution import control  # noqa: F401 - registers the commands, over Celery's own

    if not is_known(sender.pool_cls):
        raise SystemExit(_POOLS)
    _process.table = SlotTable()
    if wrong := [found for found in run_checks(tags=["runs"]) if found.is_serious()]:
        raise SystemExit("\n".join(map(str, wrong)))
    _load_graphs()
    sender.app.steps["consumer"].update((ReplaceDeadChildren, GatherEvents))
    survive_lost_connections()
    keep_clients()
    note_without_waiting()
    connections.close_all()


def _load_graphs() -> None:
    """Once for all children. One that cannot be loaded costs its own runs, which say why, and no others."""
    project = configured_project()
    for reference in () if project is None else project.graphs.values():
        try:
            load(reference)
        except GraphNotLoaded as error:
            logger.error("%s", error)


@signals.worker_process_init.connect
def on_worker_process_init(**_: Any) -> None:
    """In each pool child, when it starts."""
    if _process.table is None:
        return
    _process.keeper = None
    if (index := _child_index()) is None:
        return
    _process.slot = _process.table.slots[index]
    begin_async_thread()


def _child_index() -> int | None:
    """billiard numbers the places of its pool; a child takes the number of the one it replaces. None: it is no child
    of billiard's, but a loop process, which is told its slots."""
    return vars(current_process()).get("index")


@signals.worker_ready.connect
def on_worker_ready(sender: Any = None, **_: Any) -> None:
    """In the main process, when it can consume."""
    if _process.table is None:
        return
    host = f"{socket.gethostname()}:{os.getpid()}"
    version = f"{__version__} (Python {sys.version_info.major}.{sys.version_info.minor})"
    consumption = Consumption(sender, _process.table)
    capacity = sender.controller.concurrency
    _process.keeper = Keeper(_process.table, consumption, host=host, version=version, capacity=capacity)
    _process.keeper.start()
    serve_in_thread()
    atexit.register(on_worker_shutdown)


@signals.worker_shutting_down.connect
def on_worker_shutting_down(**_: Any) -> None:
    """In the main process, inside the signal handler of a warm or cold shutdown."""
    if _process.keeper is not None:
        _process.keeper.begin_shutdown()


@signals.worker_shutdown.connect
def on_worker_shutdown(**_: Any) -> None:
    """In the main process, when the pool has ended; Celery does not say so after a cold shutdown."""
    if _process.keeper is not None:
        _process.keeper.stop()
        _process.keeper = None


@signals.task_revoked.connect
def on_task_revoked(request: Any = None, terminated: bool = False, expired: bool = False, **_: Any) -> None:
    """Celery discards a revoked message: the same write follows, a run is cancelled or never discarded."""
    from runs.execution.control import run_id_of

    run_id = run_id_of(getattr(request, "id", None))
    if _process.keeper is not None and run_id is not None and not terminated and not expired:
        _process.keeper.cancel_from_outside(run_id, force=False)
