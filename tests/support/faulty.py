"""The worker's application with parts of the product broken: negative controls show what each part is for.

RUNYARD_TEST_FAULTS names the faults; see FAULTS.
"""

import os
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from celery import signals

from project.celery import app
from tests.support.ledger import gate_is_open, note, wait_until

__all__ = ["app"]  # for `celery -A`


@signals.celeryd_after_setup.connect
def break_things(**_: Any) -> None:
    """In the main process, before the pool is forked."""
    for name in os.environ["RUNYARD_TEST_FAULTS"].split(","):
        FAULTS[name]()
    signals.task_revoked.connect(_note_revoked, weak=False)


def _note_revoked(request: Any = None, terminated: bool = False, signum: Any = None, **_: Any) -> None:
    note(request.id, 0, "revoked", terminated=terminated, signum=type(signum).__name__)


@app.task(bind=True, name="tests.nap")
def nap(self: Any) -> None:
    """A task that is no run."""
    note(self.request.id, 0, "start")
    time.sleep(3600)


def nothing() -> None:
    """All is well."""


def stock_revoke() -> None:
    """Celery's own revoke reaches runs, and nobody writes down that a message was discarded."""
    from celery.worker.control import Panel

    from runs.execution import control, worker

    Panel.data["revoke"] = control._celery_revoke
    signals.task_revoked.disconnect(worker.on_task_revoked)


def celery_only() -> None:
    """Nobody observes the exits of children: what is to be recovered is recovered by Celery."""
    from runs.execution.keeper import Keeper

    Keeper._exited = Keeper._look_at = lambda *_: None  # type: ignore[method-assign, assignment]


def pinned() -> None:
    """A later attempt of a graph names the thread's head by its id."""
    from dataclasses import replace

    from runs.execution.graphs import driving
    from runs.execution.graphs.start import find_start

    def pinned(run: Any, rows: Any) -> Any:
        start = find_start(run, rows)
        return replace(start, fork=start.tip) if run.attempt > 1 else start

    vars(driving)["find_start"] = pinned


def unwrapped() -> None:
    """Subgraphs read LangGraph's tables as its own checkpointer does: the latest row is the state."""
    from langgraph.checkpoint.postgres import PostgresSaver

    from runs.execution.graphs.checkpointer import FencedCheckpointer
    from runs.execution.graphs.rows import VisibleRows

    class Unwrapped(PostgresSaver):
        _cursor, _recorder = VisibleRows._cursor, None

    def get(self: Any, config: Any) -> Any:
        self._journal.store()
        return Unwrapped(None).get_tuple(config) if config["configurable"].get("checkpoint_ns") else own(self, config)  # type: ignore[arg-type]

    own = FencedCheckpointer._get
    FencedCheckpointer._get = get  # type: ignore[method-assign]


def forgetful() -> None:
    """A graph waits for nothing to be stored, and nothing is before its end."""
    from runs.execution.graphs.durability import Durability
    from runs.execution.graphs.linger import Linger

    Durability.of_step = lambda *_: False  # type: ignore[method-assign]
    Linger.call = lambda *_: None  # type: ignore[method-assign]


def dies_at_the_second_question() -> None:
    """Killed when it has stored, by itself, that a node which has taken its first answer asks again."""
    from runs.execution.graphs.journal import Journal
    from runs.services.graph_writes import RootTasks

    def add_and_die(self: Any, write: Any) -> None:
        add(self, write)
        interrupts = write.tasks.interrupts.values() if isinstance(write, RootTasks) else ()
        asked = [one["value"] for several in interrupts for one in several]
        if self._run.attempt == 1 and asked == ["second?"]:
            self.store()
            os.kill(os.getpid(), signal.SIGKILL)

    add = Journal.add
    Journal.add = add_and_die  # type: ignore[method-assign]


def answer_taken_again() -> None:
    """A later attempt reads an answer by value, whoever has taken it."""
    from runs.execution.graphs.checkpointer import FencedCheckpointer

    FencedCheckpointer.forget_taken_answer = lambda *_: None  # type: ignore[method-assign]


def unfenced_store() -> None:
    """A graph stores what it wants, whatever its run has become."""
    from langgraph.store.postgres import PostgresStore

    from runs.execution.graphs.store import FencedStore

    def do(self: Any, asked: Any) -> Any:
        return self._host.persist(lambda: PostgresStore.batch(self, asked))

    FencedStore._do = do  # type: ignore[method-assign]


def impatient() -> None:
    """A drained worker hands over what it is refused at once, whether it still takes messages or not."""
    from runs.execution.keeper import Keeper
    from runs.execution.slots import SlotTable

    SlotTable.takes_messages = False  # type: ignore[assignment, method-assign]
    Keeper.read_row = lambda self: None  # type: ignore[method-assign]


def slow_kill() -> None:
    """Between the decision to kill a process and the kill lies the time that the test wants."""
    from runs.execution import keeper

    def kill(pid: int, signum: int) -> None:
        if signum == signal.SIGKILL:
            note(f"kill-{pid}", 0, "aimed")
            wait_until(lambda: gate_is_open(f"kill-{pid}"), "the gate before a kill")
        os.kill(pid, signum)

    keeper.os = SimpleNamespace(kill=kill)  # type: ignore[attr-defined, assignment]


def kill_without_row() -> None:
    """The grace kill does not hold the run's row."""
    from runs.execution.keeper import Keeper
    from runs.execution.slots import Execution, Order

    def kill(self: Keeper, execution: Execution, order: Order) -> None:
        self._signal_kill(execution)

    Keeper._kill_now = kill  # type: ignore[method-assign]


def repeating_handler() -> None:
    """An interruption is raised again while the code is unwinding from it."""
    from runs.execution import interruption, whereabouts

    for module in (interruption, whereabouts):
        module.comes_from_interruption = lambda *_, **__: False  # type: ignore[attr-defined]
    interruption.Guard._task_told = property(lambda _: False, lambda *_: None)  # type: ignore[assignment]


def deaf() -> None:
    """No message ever tells this worker that a run was cancelled."""
    from runs.execution.keeper import Keeper

    Keeper.interrupt = lambda *_: False  # type: ignore[method-assign]


def no_fence() -> None:
    """A step is stored whatever the run has become."""
    from runs.models import Run
    from runs.services import checkpoints

    def get(run_id: UUID, attempt: int) -> Run:
        return Run.objects.get(pk=run_id)

    checkpoints.lock_attempt = get  # type: ignore[attr-defined]


def short_visibility() -> None:
    """Redis delivers again what is not acknowledged after a second; a run is acknowledged when it has ended."""
    again = {"visibility_timeout": 1, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **again}


def attentive() -> None:
    """It notices within seconds that a connection is half-open, which takes the product's settings half a minute."""
    soon = {"socket_timeout": 3, "health_check_interval": 1}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **soon}


def no_claim() -> None:
    """Whoever has a message executes the run."""
    from runs.execution import delivery
    from runs.models import Run

    claim = delivery.claim_run  # type: ignore[attr-defined]

    def take(*, run_id: UUID, worker_id: UUID) -> Run | None:
        return claim(run_id=run_id, worker_id=worker_id) or Run.objects.select_related("thread").get(pk=run_id)

    delivery.claim_run = take  # type: ignore[attr-defined]


def cancelled_once() -> None:
    """In a loop process an order cancels a task once, whatever that does with it."""
    from runs.execution.loops import guard

    guard.is_unwinding = lambda task: True


def all_to_blame() -> None:
    """A crash of a process counts against every run in it."""
    from runs.execution import keeper
    from runs.states import Departure

    def blame(exits: Any, **_: Any) -> list[Any]:
        return [(exit.execution, Departure.CRASH) for exit in exits]

    keeper.departures = blame  # type: ignore[attr-defined]


def mortal() -> None:
    """It dies where the test says; see tests/support/crash_points.py."""
    from tests.support import crash_points

    crash_points.install()


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (
        nothing,
        stock_revoke,
        celery_only,
        pinned,
        unwrapped,
        unfenced_store,
        forgetful,
        dies_at_the_second_question,
        answer_taken_again,
        impatient,
        slow_kill,
        kill_without_row,
        repeating_handler,
        deaf,
        no_fence,
        short_visibility,
        attentive,
        no_claim,
        cancelled_once,
        all_to_blame,
        mortal,
    )
}
