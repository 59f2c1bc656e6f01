"""A loop process: takes runs from the main process, executes them side by side, heeds orders, says what has ended."""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, TypeVar
from uuid import UUID

from runs import tracing
from runs.assistants.graphs import configured_project
from runs.assistants.graphs.project import langgraph_is_installed
from runs.conf import runs_settings
from runs.errors import WorkerDraining
from runs.execution import refusal
from runs.execution.attempt import LOOK_EVERY_SECONDS
from runs.execution.delivery import CLAIM_WAIT_SECONDS
from runs.execution.endings import Ending
from runs.execution.interruption import INTERRUPT_SIGNAL, on_thread_end
from runs.execution.loops import owner
from runs.execution.loops.attempt import LoopAttempt
from runs.execution.loops.database import DatabaseThreads
from runs.execution.loops.loop import AttemptLoop
from runs.execution.loops.watchdog import Watchdog
from runs.execution.slots import Order, Slot, SlotTable
from runs.logcontext import LogContext, bind
from runs.models import Run
from runs.services.draining import hand_over
from runs.services.lifecycle import claim_run

logger = logging.getLogger(__name__)

T = TypeVar("T")


def prepare() -> None:
    """In the main process, before it forks: what all loop processes need is loaded once, and shared."""
    if configured_project() is not None and langgraph_is_installed():
        import runs.execution.loops.graphs  # noqa: F401
    gc.collect()
    gc.freeze()


class LoopProcess:
    """This process. Messages in both directions are lines of JSON on one socket."""

    def __init__(self, main_process: socket.socket, table: SlotTable, first_slot: int) -> None:
        self._socket, self._table, self._first_slot = main_process, table, table.slots[first_slot]
        self._loop = AttemptLoop()
        self._database = DatabaseThreads(runs_settings().LOOP_CONNECTIONS)
        self._attempts: dict[int, LoopAttempt] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._terminated = False

    def run(self) -> None:
        """Serve until the main process has closed the socket, or somebody asked this process to end."""
        owner.install()
        if configured_project() is not None and langgraph_is_installed():
            from runs.execution.loops.graphs import share_scribe

            share_scribe()
        self._install_handlers()
        asyncio.set_event_loop(self._loop)
        Watchdog(self._loop, self._first_slot, self._attempts).start()
        serving = self._loop.create_task(self._serve())
        serving.add_done_callback(lambda _: self._loop.stop())
        self._loop.run_until_stopped()

    async def _serve(self) -> None:
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        while line := await reader.readline():
            job = json.loads(line)
            task = self._loop.create_task(self._take(job["job"], job["slot"], UUID(job["run"])))
            self._jobs.add(task)
            task.add_done_callback(self._on_taken)

    def _say(self, **what: Any) -> None:
        self._writer.write(json.dumps(what).encode() + b"\n")

    # A run

    async def _take(self, job: int, index: int, run_id: UUID) -> None:
        """The slot says what is executed from before the claim to after the end of the lease."""
        if self._terminated:
            self._say(job=job, returned=True)
            return
        slot, name, ending = self._table.slots[index], "", Ending.LOST_CLAIM
        try:
            with slot.occupied(os.getpid(), run_id):
                run, worker_id = await self._claim(slot, run_id)
                if run is not None and worker_id is not None:
                    name = run.assistant
                    self._say(job=job, claimed=True)
                    slot.begin(os.getpid(), run_id, run.attempt, time.monotonic() + run.timeout_seconds)
                    ending = await self._execute(run, worker_id, slot)
        except Exception:
            logger.exception("run %s: its attempt could not be concluded; the next renewal will tell", run_id)
        self._say(job=job, ending=ending, assistant=name)

    def _on_taken(self, task: "asyncio.Task[None]") -> None:
        """Who ended last is known here only: two may end in one turn of the loop."""
        self._jobs.discard(task)
        self._end_if_terminated()

    async def _claim(self, slot: Slot, run_id: UUID) -> tuple[Run | None, UUID | None]:
        """Not repeated if its answer is lost: the next renewal settles a claim that nobody executes."""
        while (worker_id := await self._wait_for_life(slot)) is not None:
            try:
                return await self._ask(partial(claim_run, run_id=run_id, worker_id=worker_id)), worker_id
            except WorkerDraining:
                if await self._is_handed_over(slot, run_id):
                    break
        return None, None

    async def _is_handed_over(self, slot: Slot, run_id: UUID) -> bool:
        """As `refusal.handed_over`, while the loop goes on."""
        slot.note_refusal()
        deadline = time.monotonic() + refusal.WAIT_SECONDS
        while slot.table.takes_messages:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        await self._ask(partial(hand_over, run_id))
        return True

    async def _ask(self, job: Callable[[], T]) -> T:
        return await self._database.ado(lambda: self._database.on_checked_connection(job))

    async def _wait_for_life(self, slot: Slot) -> UUID | None:
        table, deadline = slot.table, time.monotonic() + CLAIM_WAIT_SECONDS
        while time.monotonic() < deadline:
            if table.worker_id is not None and table.lease_confirmed:
                return table.worker_id
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return None

    async def _execute(self, run: Run, worker_id: UUID, slot: Slot) -> Ending:
        with _observed(run):
            attempt = LoopAttempt(run, worker_id, slot, loop=self._loop, database=self._database)
            self._attempts[slot.index] = attempt
            if self._terminated:
                self._hand_back(slot.index, attempt)
            try:
                return await attempt.execute_on_loop()
            finally:
                del self._attempts[slot.index]

    # Signals

    def _install_handlers(self) -> None:
        signal.signal(INTERRUPT_SIGNAL, self._on_interrupt)
        signal.signal(signal.SIGTERM, self._on_terminate)
        threading.excepthook = on_thread_end
        os.register_at_fork(after_in_child=_forget_handlers)

    def _on_interrupt(self, _signum: int, frame: FrameType | None) -> None:
        for attempt in list(self._attempts.values()):
            attempt.guard.on_signal(self._loop, frame)

    def _on_terminate(self, _signum: int, _frame: FrameType | None) -> None:
        """Somebody asked this process to end: whatever it executes is handed back."""
        if not self._terminated:
            self._terminated = True
            self._loop.call_soon_threadsafe(lambda: self._say(leaving=True))
            for index, attempt in list(self._attempts.items()):
                self._hand_back(index, attempt)
            self._loop.call_soon_threadsafe(self._end_if_terminated)

    def _hand_back(self, index: int, attempt: LoopAttempt) -> None:
        self._table.slots[index].note_termination()  # so that the main process repeats the order, and ends the grace
        attempt.guard.order = attempt.guard.order or Order.SHUTDOWN
        self._loop.call_soon_threadsafe(attempt.guard.press)

    def _end_if_terminated(self) -> None:
        if self._terminated and not self._jobs:
            self._socket_is_flushed(self._loop.stop)

    def _socket_is_flushed(self, then: Any) -> None:
        draining = self._loop.create_task(self._writer.drain())
        draining.add_done_callback(lambda _: then())


def _forget_handlers() -> None:
    """A process that an assistant forks executes no attempt: what it is told ends only itself."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(INTERRUPT_SIGNAL, signal.SIG_DFL)


@contextmanager
def _observed(run: Run) -> Iterator[None]:
    """What is logged and traced in this block, and in all that it starts, says which attempt it is of."""
    ids = {"thread": run.thread_id, "run": run.pk, "attempt": run.attempt}
    attributes = {f"runyard.{name}": str(value) for name, value in ids.items()}
    with tracing.attempt_span(run.assistant, run.traceparent, attributes), LogContext(**ids):
        bind(request=run.request_id, trace=tracing.trace_id())
        yield
