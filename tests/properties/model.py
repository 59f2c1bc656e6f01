"""A thread as the design says it behaves, in plain Python: what the services must do, without how they do it.

Every change of status goes through `_move`, which knows nothing but the table of transitions.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from runs.states import (
    FAILED,
    IN_FLIGHT,
    TERMINAL,
    CancelAction,
    Departure,
    MultitaskStrategy,
    RunStatus,
    ThreadStatus,
    is_legal,
)

MAX_QUEUED_RUNS = 3
MAX_ATTEMPTS = 2

#: What an operation came to: done, nothing (the caller was too late), or the name of a refusal.
DONE, NOTHING = "done", "nothing"


@dataclass(frozen=True)
class State:
    """A checkpoint: its number, its values, whether something is still to come, and who wrote it."""

    number: int
    values: dict[str, Any]
    waits: bool


@dataclass(eq=False)
class ModelRun:
    """A run as everybody should see it."""

    number: int
    resumable: bool
    scheduled: bool
    status: RunStatus = RunStatus.PENDING
    history: list[tuple[RunStatus | None, RunStatus]] = field(default_factory=lambda: [(None, RunStatus.PENDING)])
    attempt: int = 0
    crashes: int = 0
    worker: int | None = None
    leased: bool = False
    dispatched: bool = False
    base: State | None = None
    action: CancelAction | None = None
    rolled_back: bool = False
    deleted: bool = False
    finished: int | None = None

    @property
    def in_flight(self) -> bool:
        """Pending or running."""
        return self.status in IN_FLIGHT

    @property
    def due(self) -> bool:
        """May be claimed as far as its own time is concerned."""
        return self.attempt > 0 or not self.scheduled


@dataclass
class ModelThread:
    """A thread: its runs by acceptance, its head, and the operations of the design, section 4."""

    runs: list[ModelRun] = field(default_factory=list)
    head: State | None = None
    _numbers: Any = field(default_factory=lambda: count(1))
    #: Counts transactions: what one of them ends has ended at the same time.
    moment: int = 0

    # What can be seen

    @property
    def in_flight(self) -> list[ModelRun]:
        return [run for run in self.runs if run.in_flight]

    @property
    def leased(self) -> ModelRun | None:
        return next((run for run in self.runs if run.leased), None)

    @property
    def queue(self) -> list[ModelRun]:
        """Who may be claimed, in order: the run that has begun, then the due by acceptance."""
        waiting = [run for run in self.runs if run.status == RunStatus.PENDING and run.due]
        return sorted(waiting, key=lambda run: (run.attempt == 0, run.number))

    @property
    def status(self) -> ThreadStatus:
        if self.in_flight:
            return ThreadStatus.BUSY
        finished = [run for run in self.runs if run.finished is not None and not run.deleted]
        last = max(finished, key=lambda run: (run.finished, run.number), default=None)
        if last is not None and last.status in FAILED:
            return ThreadStatus.ERROR
        return ThreadStatus.INTERRUPTED if self.head is not None and self.head.waits else ThreadStatus.IDLE

    # What can be done

    def create(self, run: ModelRun, strategy: MultitaskStrategy) -> str:
        if strategy == MultitaskStrategy.REJECT and self.in_flight:
            return "ThreadBusy"
        waiting = sum(other.status == RunStatus.PENDING for other in self.runs)
        if strategy == MultitaskStrategy.ENQUEUE and waiting >= MAX_QUEUED_RUNS:
            return "QueueFull"
        if strategy in (MultitaskStrategy.INTERRUPT, MultitaskStrategy.ROLLBACK):
            for displaced in self.in_flight:
                self._stop(displaced, CancelAction(strategy))
        self.runs.append(run)
        if self.queue[:1] == [run]:
            self._dispatch()
        return DONE

    def claim(self, run: ModelRun, worker: int, *, alive: bool) -> str:
        if run not in self.runs or self.leased:
            return NOTHING
        if self.queue[:1] != [run] or not alive:
            self._dispatch()
            return NOTHING
        if run.attempt == 0:
            run.base = self.head
        elif not run.resumable:
            self.head = run.base
        self._move(run, RunStatus.RUNNING)
        run.attempt += 1
        run.worker, run.leased, run.dispatched = worker, True, False
        return DONE

    def step(self, run: ModelRun, attempt: int, values: dict[str, Any]) -> str:
        if self._fenced(run, attempt):
            return "Fenced"
        self._advance(values, waits=True)
        return DONE

    def finish(
        self, run: ModelRun, attempt: int, status: RunStatus, values: dict[str, Any] | None, *, left: bool
    ) -> str:
        if self._fenced(run, attempt):
            return "Fenced"
        if status == RunStatus.SUCCESS and (values is not None or (self.head is not None and self.head.waits)):
            self._advance(values or {}, waits=False)
        self._move(run, status)
        run.leased = not left
        self._dispatch()
        return DONE

    def cancel(self, run: ModelRun, action: CancelAction) -> str:
        if run.deleted:
            return "RunNotFound"
        if run.in_flight:
            self._stop(run, action)
            self._dispatch()
        return DONE if run.status == RunStatus.INTERRUPTED else "NotCancellable"

    def time_out(self, run: ModelRun, attempt: int) -> str:
        if self._fenced(run, attempt):
            return NOTHING
        self._move(run, RunStatus.TIMEOUT)
        return DONE

    def executor_gone(self, run: ModelRun, attempt: int, departure: Departure) -> str:
        if not run.leased or run.attempt != attempt:
            return NOTHING
        if run.status in TERMINAL:
            run.history.append((run.status, run.status))
        else:
            run.crashes += departure in (Departure.CRASH, Departure.LEFT)
            self._move(run, RunStatus.PENDING if run.crashes < MAX_ATTEMPTS else RunStatus.ERROR)
        run.leased = False
        self._dispatch()
        return DONE

    def delete(self, run: ModelRun) -> str:
        if run.deleted:
            return "RunNotFound"
        if run.in_flight:
            self._stop(run, CancelAction.INTERRUPT)
        run.deleted = True
        self._dispatch()
        return DONE

    def become_due(self, run: ModelRun) -> str:
        run.scheduled = False
        return DONE

    def sweep(self, run: ModelRun) -> str:
        """What the scheduler does for runs that nobody called."""
        if self.queue and not any(run.dispatched for run in self.runs):
            self._dispatch()
        return DONE

    def remove_deleted(self, run: ModelRun) -> str:
        """What the scheduler does for runs that were deleted."""
        self.runs = [run for run in self.runs if not run.deleted or run.leased]
        return DONE

    # How

    def _fenced(self, run: ModelRun, attempt: int) -> bool:
        return run.status != RunStatus.RUNNING or run.attempt != attempt

    def _stop(self, run: ModelRun, action: CancelAction) -> None:
        self._move(run, RunStatus.INTERRUPTED)
        run.action = action
        if action == CancelAction.ROLLBACK and run.attempt:
            run.rolled_back = True
            self.head = run.base

    def _move(self, run: ModelRun, to: RunStatus) -> None:
        assert is_legal(run.status, to)
        run.history.append((run.status, to))
        run.status = to
        if to in TERMINAL:
            run.dispatched = False
            run.finished = self.moment

    def _advance(self, values: dict[str, Any], *, waits: bool) -> None:
        known = {} if self.head is None else self.head.values
        self.head = State(next(self._numbers), {**known, **values}, waits)

    def _dispatch(self) -> None:
        if self.leased is None and self.queue:
            self.queue[0].dispatched = True
