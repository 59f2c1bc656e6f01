"""One attempt in a pool child: driven, judged, settled."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError

from runs.actors import system
from runs.assistants import RunContext, registry
from runs.assistants.graphs.loading import require_langgraph
from runs.assistants.graphs.project import GraphReference, langgraph_is_installed
from runs.conf import runs_settings
from runs.errors import Fenced, RunCancelled, UnknownAssistant
from runs.execution.connections import (
    executors_connection,
    forget_assistants_connections,
    forget_async_connections,
)
from runs.execution.drivers import drive
from runs.execution.endings import Ending
from runs.execution.frames import AttemptFrames
from runs.execution.interruption import Guard
from runs.execution.last_writes import store_last_writes
from runs.execution.pending_report import PendingReport
from runs.execution.persistence import persist
from runs.execution.slots import Order, Slot
from runs.execution.values import as_mapping, describe, final_values
from runs.jsonvalues import check_storable
from runs.models import Run
from runs.models.fields import new_checkpoint_id
from runs.services.checkpoints import starting_checkpoint, write_checkpoint
from runs.services.lifecycle import Outcome, executor_gone, finish_run
from runs.services.progress import Report, report_progress
from runs.states import Departure, RunStatus

logger = logging.getLogger(__name__)

T = TypeVar("T")
ACTOR = system("worker")
LOOK_EVERY_SECONDS = 0.02


class AttemptExecutor:
    """Drives an assistant and answers its context; whatever it writes is fenced by the attempt."""

    #: Where its orders arrive.
    guard_class: Any = Guard

    def __init__(self, run: Run, worker_id: UUID, slot: Slot) -> None:
        self._run, self._worker_id, self._slot = run, worker_id, slot
        self._guard = self.guard_class(slot, run.pk, run.attempt, worker_id)
        self._graph = _graph_of(run)
        self._frames: Any = _frames_of(run, self._graph)
        self._state: dict[str, Any] = {}
        self._reported = PendingReport()
        self._pid = os.getpid()
        self._closed = False
        self._left_behind = ""

    def execute(self) -> Ending:
        """Execute the attempt to its end, whatever the assistant does."""
        left = False
        try:
            with self._guard.watching():
                outcome = self._drive()
                left = self._has_left()
                return self._conclude(outcome, left)
        finally:
            forget_assistants_connections()
            if not left or self._guard.process_must_end:
                self._end_process()

    def _drive(self) -> Outcome:
        """The assistant's own end; an interruption is judged by the order, not by what leaves the assistant."""
        try:
            return self._drive_function() if self._graph is None else self._drive_graph(self._graph)
        except BaseException as error:
            self._leave()  # an interruption may have cut the end of the block above short
            return Outcome(status=RunStatus.ERROR, error=describe(error))

    def _drive_graph(self, graph: GraphReference) -> Outcome:
        require_langgraph(graph.name)
        from runs.execution.graphs.driving import GraphDriver

        try:
            writes = GraphDriver(graph, self._run, self, self._guard, self._frames).drive()
            return Outcome(status=RunStatus.SUCCESS, keeps_head=True, writes=writes)
        finally:
            self._leave()

    def _drive_function(self) -> Outcome:
        context = self._begin()
        function = registry.get(self._run.assistant).function
        given = self._run.kwargs.get("input")
        try:
            value = drive(lambda: function(context, given), self._guard, self._on_step)
            return Outcome(status=RunStatus.SUCCESS, values=final_values(value))
        finally:
            self._leave()

    def _begin(self) -> RunContext:
        self._frames.begin(self._run.kwargs.get("input"))
        return persist(self._make_context, give_up=lambda: self.must_stop)

    def _leave(self) -> None:
        self._end_forked_child()
        self._guard.leave()
        self._closed = True

    def _has_left(self) -> bool:
        """Whether nothing of the assistant is executed any more, after threads of its have had their time to end."""
        patience = runs_settings().THREAD_LEAVE_SECONDS
        has_tasks = bool(self._guard.left_tasks)
        if not has_tasks and self._guard.wait_for_threads(patience) and forget_async_connections(patience):
            return True
        self._left_behind = f"left behind: {self._guard.left_behind() or 'a call of sync_to_async'}"
        return False

    def _make_context(self) -> RunContext:
        run = self._run
        start = starting_checkpoint(run.thread.head_id, run)
        self._state = {} if start is None else start.values
        self._context = RunContext(
            self,
            run_id=run.pk,
            thread_id=run.thread_id,
            attempt=run.attempt,
            kwargs=run.kwargs,
            metadata=run.metadata,
            state=self._state,
            usage=run.usage,
            model_name=run.model_name,
        )
        return self._context

    def _on_step(self, value: Any) -> None:
        """Store a durable step; refuse it if the attempt must stop or the value cannot be stored."""
        self._end_forked_child()
        delta = as_mapping(value, "yield")
        self.check_lease()
        self._guard.raise_if_ordered()
        run, checkpoint_id = self._run, new_checkpoint_id()
        checkpoint = self.persist_report(
            lambda report: write_checkpoint(
                run_id=run.pk,
                thread_id=run.thread_id,
                attempt=run.attempt,
                checkpoint_id=checkpoint_id,
                delta=delta,
                report=report,
            )
        )
        self._state = checkpoint.values
        self._context.state = dict(self._state)
        self._frames.step(delta, checkpoint)
        self._guard.raise_if_ordered()

    # What the assistant's context asks for; may be called from threads the assistant started.

    def emit(self, data: Any) -> None:
        check_storable(data, "emitted value")
        with self._guard.own_section():
            if self._closed or self._is_forked_child or self._guard.unwinding():
                return
            self.check_lease()
            self._frames.custom(data)
            self._report_sometimes()

    def report(self, **known: Any) -> None:
        with self._guard.own_section():
            if self._closed or self._is_forked_child:
                return
            known = {name: value for name, value in known.items() if value is not None}
            if known:
                check_storable(known, "reported")
                self._reported.add(known)

    @property
    def _is_forked_child(self) -> bool:
        return os.getpid() != self._pid

    def _end_forked_child(self) -> None:
        """It must not come out of the assistant: both would write the outcome, and take the pool's next message."""
        if self._is_forked_child:
            os._exit(1)

    def persist_report(self, job: Callable[[Report], T]) -> T:
        """Do a job with what was reported since the last one; what is not stored is kept for the next."""
        report = self._reported.take()
        try:
            return self.persist(lambda: job(report))
        except BaseException:
            self._reported.put_back(report)
            raise

    def persist(self, job: Callable[[], T]) -> T:
        """Do a job until the database has answered; a fenced attempt sees the interruption."""
        self.check_lease()
        try:
            return persist(job, give_up=lambda: self.must_stop)
        except Fenced:
            raise self._fenced() from None

    @property
    def must_stop(self) -> bool:
        self._guard.look()
        return self._guard.order is not None

    def check_lease(self) -> None:
        """Pause while the last confirmed expiry has passed: another worker may be taking over. Asks nobody."""
        table = self._slot.table
        while not table.lease_confirmed and self._guard.order is None:
            self._guard.look()
            time.sleep(LOOK_EVERY_SECONDS)

    def _report_sometimes(self) -> None:
        """Long runs show what they have used so far; only from the main thread, whose connection is looked after."""
        if (
            not self._reported.is_due()
            or threading.current_thread() is not threading.main_thread()
            or self._guard.in_event_loop
        ):
            return
        try:
            with executors_connection():
                report_progress(run_id=self._run.pk, attempt=self._run.attempt, report=self._reported.look())
        except Fenced:
            self._guard.order = self._guard.order or Order.FENCED
        except (DatabaseError, InterfaceError):  # what was reported is kept, and written with the next step
            logger.warning("progress of run %s was not stored yet", self._run.pk, exc_info=True)

    def _fenced(self) -> RunCancelled:
        self._guard.order = self._guard.order or Order.FENCED
        return RunCancelled()

    # The end

    def _conclude(self, outcome: Outcome, left: bool) -> Ending:
        """Say how the attempt ended. The order decides; without one the assistant's own outcome is the outcome."""
        self._guard.look()
        if self._guard.order is None and self._slot.table.shutting_down and _is_exit(outcome):
            self._guard.order = Order.SHUTDOWN
        if self._guard.order is None:
            try:
                return self._finish(outcome, left)
            except Fenced:
                logger.info("run %s attempt %s ended after it had been stopped", self._run.pk, self._run.attempt)
        handed_back = self._guard.order == Order.SHUTDOWN  # the next attempt goes on in the same stream
        if handed_back:
            store_last_writes(self._run, outcome.writes, give_up=self._is_buried)
        self._frames.close(flush=handed_back)
        if left:
            self._release()
        return Ending.STOPPED

    def _finish(self, outcome: Outcome, left: bool) -> Ending:
        report = self._reported.take()
        try:
            self._write_outcome(outcome, report, left)
        except Fenced:
            raise
        except Exception as error:
            if self._is_buried():
                raise
            # The database refuses what the assistant left: executing it again would end the same way.
            logger.exception("run %s: its outcome could not be stored", self._run.pk)
            store_last_writes(self._run, outcome.writes, give_up=self._is_buried)
            outcome = Outcome(status=RunStatus.ERROR, error=describe(error))
            self._write_error(outcome, report, left)
        return Ending.SUCCESS if outcome.status == RunStatus.SUCCESS else Ending.ERROR

    def _write_error(self, outcome: Outcome, report: Report, left: bool) -> None:
        """With what was used and reported until then, unless that is what the database refuses."""
        try:
            self._write_outcome(outcome, report, left)
        except Fenced:
            raise
        except Exception:
            if self._is_buried():
                raise
            logger.exception("run %s: what it has reported could not be stored", self._run.pk)
            self._write_outcome(outcome, None, left)

    def _write_outcome(self, outcome: Outcome, report: Report | None, left: bool) -> None:
        run = self._run
        self._frames.result(outcome.values, self._state, outcome.error)
        last_frame = self._frames.close()
        persist(
            lambda: finish_run(
                run_id=run.pk,
                attempt=run.attempt,
                outcome=outcome,
                report=report,
                left=left,
                reason=f"finished; {self._left_behind}" if self._left_behind else "finished",
                last_frame=last_frame,
                is_heard=self._frames.is_heard,
            ),
            give_up=self._is_buried,
        )

    def _release(self) -> None:
        departure = Departure.LEFT
        if self._guard.order == Order.SHUTDOWN:
            departure = Departure.SHUTDOWN if self._slot.table.shutting_down else Departure.TERMINATED
        report = self._reported.take()
        run = self._run
        persist(
            lambda: executor_gone(
                run_id=run.pk,
                attempt=run.attempt,
                worker_id=self._worker_id,
                departure=departure,
                actor=ACTOR,
                report=report,
            ),
            give_up=self._is_buried,
        )

    def _is_buried(self) -> bool:
        return self._slot.table.worker_id != self._worker_id

    def _end_process(self) -> None:
        """Threads and tasks that will not end can only be ended with their process; the main process sees it go."""
        run = self._run
        logger.warning("run %s attempt %s: this process ends with it; %s", run.pk, run.attempt, self._left_behind)
        logging.shutdown()
        os._exit(0)


def _graph_of(run: Run) -> GraphReference | None:
    with suppress(UnknownAssistant, ImproperlyConfigured):  # raised again where it becomes the run's error
        return registry.get(run.assistant).graph
    return None


def _frames_of(run: Run, graph: GraphReference | None) -> Any:
    if graph is None or not langgraph_is_installed():
        return AttemptFrames(run)
    from runs.execution.graphs.frames import GraphFrames

    return GraphFrames(run)


def _is_exit(outcome: Outcome) -> bool:
    return outcome.error is not None and outcome.error["type"] in ("SystemExit", "KeyboardInterrupt")
