"""One attempt on a loop that it shares: driven, judged, settled; nothing of it makes the loop wait."""

import asyncio
import inspect
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import DatabaseError

from runs.assistants import registry
from runs.assistants.graphs.loading import require_langgraph
from runs.assistants.graphs.project import GraphReference
from runs.conf import runs_settings
from runs.dispatch import MESSENGER
from runs.errors import Fenced
from runs.execution.attempt import LOOK_EVERY_SECONDS, AttemptExecutor
from runs.execution.connections import forget_assistants_connections
from runs.execution.drivers import AsyncSteps, SyncSteps, drive_generator
from runs.execution.endings import Ending
from runs.execution.loops.database import DatabaseThreads, Lane
from runs.execution.loops.guard import LoopGuard
from runs.execution.loops.loop import AttemptLoop
from runs.execution.slots import Order, Slot
from runs.execution.values import describe, final_values
from runs.models import Run
from runs.services.lifecycle import Outcome
from runs.services.progress import Report, report_progress
from runs.states import RunStatus

logger = logging.getLogger(__name__)

T = TypeVar("T")


class LoopAttempt(AttemptExecutor):
    """Drives an assistant on the loop, or in a thread if it is no coroutine."""

    guard_class = LoopGuard
    _guard: LoopGuard

    def __init__(self, run: Run, worker_id: UUID, slot: Slot, *, loop: AttemptLoop, database: DatabaseThreads) -> None:
        super().__init__(run, worker_id, slot)
        self._loop, self._database = loop, database
        self.lane = Lane(database)

    @property
    def guard(self) -> LoopGuard:
        """Where orders arrive."""
        return self._guard

    @property
    def assistant(self) -> str:
        """Which assistant it executes."""
        return self._run.assistant

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self._run.assistant} (run {self._run.pk}, attempt {self._run.attempt})"

    async def execute_on_loop(self) -> Ending:
        """Execute the attempt to its end, whatever the assistant does."""
        self._guard.look()
        outcome = await self._drive_on_loop()
        left = await self._leaves_within(runs_settings().THREAD_LEAVE_SECONDS)
        ending = await self._database.ado(lambda: self._conclude(outcome, left))
        if not left:
            await self._outlast()
        return ending

    async def _drive_on_loop(self) -> Outcome:
        """The assistant's own end; an interruption is judged by the order, not by what leaves the assistant."""
        try:
            return await (self._function() if self._graph is None else self._graph_on_loop(self._graph))
        except BaseException as error:
            return Outcome(status=RunStatus.ERROR, error=describe(error))
        finally:
            self._leave()

    async def _graph_on_loop(self, graph: GraphReference) -> Outcome:
        require_langgraph(graph.name)
        from runs.execution.loops.graphs import LoopGraphDriver

        driver = LoopGraphDriver(graph, self._run, self, cast(Any, self._guard), self._frames)
        return Outcome(status=RunStatus.SUCCESS, keeps_head=True, writes=await driver.drive_on_loop())

    async def _function(self) -> Outcome:
        context = await self._database.ado(self._begin)
        function = registry.get(self._run.assistant).function
        given = self._run.kwargs.get("input")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return _success(await self.as_task(lambda: self._walk_through(function(context, given))))
        made = await self._in_thread(lambda: self._call(lambda: function(context, given)))
        if inspect.iscoroutine(made) or inspect.isasyncgen(made):
            made = await self.as_task(lambda: self._walk_through(made))
        return _success(made)

    # On the loop

    async def as_task(self, code: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Execute the coroutine as the attempt's task; whatever leaves it leaves this function."""
        self._guard.raise_if_ordered()
        task = self._loop.create_task(code(), context=self._guard.owner.context())
        self._guard.task = task
        await asyncio.wait({task})
        return task.result()

    async def _walk_through(self, made: Any) -> Any:
        return await (self._walk(cast(AsyncSteps, made)) if inspect.isasyncgen(made) else made)

    async def _walk(self, generator: AsyncSteps) -> None:
        """A step that is refused is refused at the assistant's `yield`; one that comes after that is not stored."""
        refusal: BaseException | None = None
        try:
            while True:
                refusal = self._guard.pending() or refusal
                value = await (anext(generator) if refusal is None else generator.athrow(refusal))
                if refusal is not None:
                    raise refusal
                refusal = await self._store(value)
        except StopAsyncIteration:
            pass
        finally:
            await generator.aclose()

    async def _store(self, value: Any) -> BaseException | None:
        """Store a step, whoever cancels the task meanwhile; return why it was refused."""
        self._guard.storing = True
        stored = asyncio.wrap_future(self._database.do(lambda: self._on_step(value)))
        refusal: BaseException | None = None
        while not stored.done():
            try:
                await asyncio.wait({stored})
            except asyncio.CancelledError as cancelled:
                refusal = cancelled
        self._guard.storing = False
        return stored.exception() or refusal

    # In a thread

    def _call(self, call: Callable[[], Any]) -> Any:
        """Call a plain function and walk through its generator."""
        with self._guard.assistant_code():
            self._guard.raise_if_ordered()
            made = call()
        if inspect.isgenerator(made):
            return drive_generator(cast(SyncSteps, made), self._guard, self._on_step_of_thread)
        return made

    def _on_step_of_thread(self, value: Any) -> None:
        self._end_forked_child()  # it has none of the threads that talk to the database
        self._database.do(lambda: self._on_step(value)).result()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Execute assistant code in a thread of its own."""
        done: Future[tuple[T | None, BaseException | None]] = Future()
        owner = self._guard.owner
        context = owner.context()

        def execute() -> None:
            ident = threading.get_ident()
            found: tuple[T | None, BaseException | None]
            try:
                found = context.run(work), None
            except BaseException as error:
                owner.get_out(ident)
                found = None, error
            self._end_forked_child()
            forget_assistants_connections()
            done.set_result(found)

        threading.Thread(target=execute, name=f"{MESSENGER}-assistant", daemon=True).start()
        value, error = await asyncio.wrap_future(done)
        if error is not None:
            raise error
        return cast(T, value)

    def _report_sometimes(self) -> None:
        """Long runs show what they have used so far."""
        if self._reported.is_due():
            report = self._reported.look()
            self._database.do(lambda: self._store_progress(report))

    def _store_progress(self, report: Report) -> None:
        try:
            self._database.on_checked_connection(
                lambda: report_progress(run_id=self._run.pk, attempt=self._run.attempt, report=report)
            )
        except Fenced:
            self._guard.order = self._guard.order or Order.FENCED
        except DatabaseError:  # what was reported is kept, and written with the next step
            logger.warning("progress of run %s was not stored yet", self._run.pk, exc_info=True)

    # Its end

    async def _leaves_within(self, seconds: float) -> bool:
        """Whether nothing of the attempt is alive: within this time, or that of its cleanup."""
        owner, deadline = self._guard.owner, time.monotonic() + seconds
        owner.close()
        for task in list(owner.tasks):
            task.cancel()
        while (is_alive := owner.is_alive()) or (generators := owner.take_generators()):
            if not is_alive:
                self._end_generators(generators)
            elif time.monotonic() >= deadline and not owner.threads_are_unwinding():
                return False
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        self._loop.cut_off(owner)
        return True

    def _end_generators(self, generators: "Collection[AsyncGenerator[Any, Any]]") -> None:
        """As a loop does that is closed. It is the assistant's code, so a task of its: it may fail, or not end."""
        for generator in generators:
            self._loop.create_task(_end(generator), context=self._guard.owner.context())

    async def _outlast(self) -> None:
        """Interrupt what is left until it has gone. Who does not go takes the process along, when its grace is over."""
        settings, owner = runs_settings(), self._guard.owner
        deadline, pressed_at = time.monotonic() + settings.GRACE_SECONDS, 0.0
        while owner.is_alive():
            now = time.monotonic()
            if now - pressed_at >= settings.INTERRUPT_EVERY_SECONDS:
                self._guard.press()
                pressed_at = now
            self._guard.look()
            if self._guard.order is None and now >= deadline:
                self._end_process()
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        await self._leaves_within(0.0)
        await self._database.ado(self._release)

    def _end_process(self) -> None:
        """What will not end can only be ended with the process; the main process sees whom it was for."""
        logger.warning("%s has left something behind that does not end: its process ends", self.name)
        self._slot.note_leftovers()
        logging.shutdown()
        os._exit(0)


async def _end(generator: "AsyncGenerator[Any, Any]") -> None:
    try:
        await generator.aclose()
    except Exception:  # the outcome is what the assistant has returned
        logger.warning("a generator that an assistant has left behind failed while it was closed", exc_info=True)


def _success(value: Any) -> Outcome:
    return Outcome(status=RunStatus.SUCCESS, values=final_values(value))
