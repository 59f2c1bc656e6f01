"""The rules: anybody may do anything to any run at any time. The model says what comes of it; a world may disagree."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from runs.states import TERMINAL, CancelAction, Departure, MultitaskStrategy, RunStatus
from tests.properties.model import DONE, ModelRun, ModelThread

#: What may happen to a run, and how often.
VERBS = {
    "create": 4,
    "begin": 4,
    "claim": 1,
    "step": 2,
    "finish": 2,
    "cancel": 3,
    "time_out": 1,
    "executor_gone": 3,
    "lose_a_worker": 1,
    "become_due": 1,
    "delete": 1,
    "remove_deleted": 1,
}
RARELY = st.sampled_from([False, False, False, True])


@dataclass(frozen=True)
class Turn:
    """The details of what happens; each verb uses those it needs."""

    elsewhere: bool
    strategy: MultitaskStrategy
    resumable: bool
    scheduled: bool
    #: To the run that executes on the same thread, if there is one.
    to_the_leased: bool
    #: By an executor that does not know that its attempt is over.
    late: bool
    ending: RunStatus
    returns: bool
    left: bool
    action: CancelAction
    departure: Departure
    #: One of the latest workers.
    worker: int


TURNS = st.builds(
    Turn,
    elsewhere=RARELY,
    strategy=st.sampled_from([MultitaskStrategy.ENQUEUE, MultitaskStrategy.ENQUEUE, *reversed(MultitaskStrategy)]),
    resumable=st.booleans(),
    scheduled=RARELY,
    to_the_leased=st.booleans(),
    late=RARELY,
    ending=st.sampled_from([RunStatus.SUCCESS, RunStatus.ERROR]),
    returns=st.booleans(),
    left=st.booleans(),
    action=st.sampled_from(CancelAction),
    departure=st.sampled_from(Departure),
    worker=st.integers(0, 2),
)


class World(Protocol):
    """Does the same as the model, to something else, and fails if it comes out differently."""

    def do(self, operation: str, expected: str, thread: int, run: ModelRun, **details: Any) -> None:
        """Do it, and compare what came of it."""

    def compare(self, threads: Sequence[ModelThread]) -> None:
        """Compare everything that can be seen."""

    def close(self) -> None:
        """Forget everything."""


class Lifecycle(RuleBasedStateMachine):
    """Two threads, and workers that come and go."""

    runs = Bundle("runs")
    visited: set[tuple[RunStatus | None, RunStatus]]

    def __init__(self) -> None:
        super().__init__()
        self.threads = [ModelThread(), ModelThread()]
        self.place: dict[ModelRun, int] = {}
        self.workers, self.buried = [0, 1], set[int]()
        self.numbers, self.pages = count(1), count(1)
        self.ends: dict[ModelRun, RunStatus] = {}
        self.world = self.make_world()

    def make_world(self) -> World | None:
        """What the model is compared with; None: with nothing."""
        return None

    def act(self, operation: str, run: ModelRun, *, told: dict[str, Any] | None = None, **details: Any) -> str:
        """Do something in the model and then in the world; `told`: what only the world must know."""
        thread = self.threads[self.place[run]]
        thread.moment += 1
        outcome: str = getattr(thread, operation)(run, **details)
        if self.world is not None:
            self.world.do(operation, outcome, self.place[run], run, **details, **(told or {}))
        return outcome

    @initialize(target=runs)
    def create_the_first(self) -> ModelRun:
        run = self.new_run(0, resumable=False, scheduled=False)
        assert self.act("create", run, strategy=MultitaskStrategy.REJECT) == DONE
        return run

    @rule(
        target=runs,
        run=runs,
        verb=st.sampled_from([verb for verb, often in VERBS.items() for _ in range(often)]),
        turn=TURNS,
    )
    def happen(self, run: ModelRun, verb: str, turn: Turn) -> Any:
        """One rule and not one for each verb: hypothesis leaves out whole rules, and every example needs them all."""
        if verb == "create":
            return self._create(turn)
        getattr(self, f"_{verb}")(self.leased_instead_of(run, turn) if turn.to_the_leased else run, turn)
        return multiple()

    def leased_instead_of(self, run: ModelRun, turn: Turn) -> ModelRun:
        """The run that executes on the same thread; the first of the queue begins if none does."""
        thread = self.threads[self.place[run]]
        if thread.leased is None:
            self._begin(run, turn)
        return thread.leased or run

    def new_page(self) -> dict[str, Any]:
        """A value of its own for each step, so that the state tells which steps it was made of."""
        return {f"page {next(self.pages)}": "written"}

    def new_run(self, place: int, *, resumable: bool, scheduled: bool) -> ModelRun:
        """A run that nobody has accepted yet."""
        run = ModelRun(next(self.numbers), resumable, scheduled)
        self.place[run] = place
        return run

    # The verbs

    def _create(self, turn: Turn) -> Any:
        run = self.new_run(int(turn.elsewhere), resumable=turn.resumable, scheduled=turn.scheduled)
        return run if self.act("create", run, strategy=turn.strategy) == DONE else multiple()

    def _begin(self, run: ModelRun, turn: Turn) -> None:
        """What usually happens: the first of the queue is claimed and makes a step."""
        for first in self.threads[self.place[run]].queue[:1]:
            self.act("claim", first, worker=self.workers[-1], alive=True)
            self.act("step", first, attempt=first.attempt, values=self.new_page())

    def _claim(self, run: ModelRun, turn: Turn) -> None:
        worker = self.workers[-1 - turn.worker % len(self.workers)]
        self.act("claim", run, worker=worker, alive=worker not in self.buried)

    def _step(self, run: ModelRun, turn: Turn) -> None:
        self.act("step", run, attempt=run.attempt - turn.late, values=self.new_page())

    def _finish(self, run: ModelRun, turn: Turn) -> None:
        values = self.new_page() if turn.returns else None
        self.act("finish", run, attempt=run.attempt - turn.late, status=turn.ending, values=values, left=turn.left)

    def _cancel(self, run: ModelRun, turn: Turn) -> None:
        self.act("cancel", run, action=turn.action)

    def _time_out(self, run: ModelRun, turn: Turn) -> None:
        self.act("time_out", run, attempt=run.attempt - turn.late)

    def _executor_gone(self, run: ModelRun, turn: Turn) -> None:
        told = {"worker": run.worker}
        self.act("executor_gone", run, attempt=run.attempt - turn.late, departure=turn.departure, told=told)

    def _lose_a_worker(self, run: ModelRun, turn: Turn) -> None:
        """The worker is buried, a new one comes, and the runs it held are recovered."""
        lost = self.workers[-1 - turn.worker % len(self.workers)]
        self.workers.append(len(self.workers))
        self.buried.add(lost)
        if self.world is not None:
            self.world.do("bury", DONE, 0, run, worker=lost)
        for held in [held for held in self.place if held.leased and held.worker == lost]:
            self.act("executor_gone", held, attempt=held.attempt, departure=Departure.CRASH, told={"worker": lost})

    def _become_due(self, run: ModelRun, turn: Turn) -> None:
        self.act("become_due", run)
        self.act("sweep", run)

    def _delete(self, run: ModelRun, turn: Turn) -> None:
        self.act("delete", run)

    def _remove_deleted(self, run: ModelRun, turn: Turn) -> None:
        """The sweep goes through all threads; the one of this run is only where the world is told so."""
        self.threads[1 - self.place[run]].remove_deleted(run)
        self.act("remove_deleted", run)

    @invariant()
    def nothing_is_leased_twice_or_runs_without_a_lease(self) -> None:
        for thread in self.threads:
            assert sum(run.leased for run in thread.runs) <= 1
            assert sum(run.attempt > 0 for run in thread.in_flight) <= 1
            assert all(run.leased == (run.status == RunStatus.RUNNING) for run in thread.in_flight)

    @invariant()
    def whoever_could_start_has_been_called(self) -> None:
        for thread in self.threads:
            if thread.queue and thread.leased is None:
                assert any(run.dispatched for run in thread.runs)

    @invariant()
    def an_end_is_final(self) -> None:
        for run in self.place:
            assert self.ends.get(run, run.status) == run.status
            if run.status in TERMINAL:
                self.ends[run] = run.status

    @invariant()
    def the_world_agrees(self) -> None:
        if self.world is not None:
            self.world.compare(self.threads)

    def teardown(self) -> None:
        """The world ends with the example."""
        if self.world is not None:
            self.world.close()
