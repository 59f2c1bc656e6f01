"""The same rules through the services on real PostgreSQL: after every step rows, queue, state and history agree."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis.stateful import run_state_machine_as_test
from pytest_django import Settings

from runs.errors import RunError
from runs.locks import lock_thread
from runs.models import Checkpoint, ClockTimestamp, Run, RunEvent, Thread
from runs.services.cancel import cancel_run
from runs.services.checkpoints import write_checkpoint
from runs.services.invariants import find_violations
from runs.services.lifecycle import Outcome, claim_run, executor_gone, finish_run, time_out_run
from runs.services.recover import dispatch_lost_runs
from runs.services.retention import remove_deleted_runs
from runs.services.runs import queue_positions
from runs.services.threads import delete_run
from runs.states import CancelAction, Departure, MultitaskStrategy, RunStatus
from tests.properties.machine import Lifecycle
from tests.properties.model import DONE, MAX_ATTEMPTS, MAX_QUEUED_RUNS, NOTHING, ModelRun, ModelThread, State
from tests.properties.profile import search
from tests.support.factories import SYSTEM, bury, create, make_actor, make_overdue, make_thread, make_worker
from tests.support.scale import rounds


class Postgres:
    """What the services do; each operation is named as in the model."""

    def __init__(self) -> None:
        self._savepoint = transaction.savepoint()
        self._actor = make_actor()
        self._threads = [make_thread(self._actor) for _ in range(2)]
        self._workers = [make_worker() for _ in range(2)]
        self._runs: dict[ModelRun, UUID] = {}
        self._states: dict[tuple[UUID, int], UUID] = {}
        self._touched: set[int] = set()

    def do(self, operation: str, expected: str, thread: int, run: ModelRun, **details: Any) -> None:
        """Do it, and compare what came of it with what the model expected."""
        self._thread, self._run = self._threads[thread], run
        self._touched.add(thread)
        method: Callable[..., object] = getattr(self, f"_{operation}")
        assert outcome_of(lambda: method(**details)) == expected, operation

    def close(self) -> None:
        """Take everything back."""
        transaction.savepoint_rollback(self._savepoint)

    @property
    def _id(self) -> UUID:
        return self._runs[self._run]

    # The operations

    def _create(self, strategy: MultitaskStrategy) -> object:
        created = create(
            self._thread,
            strategy,
            assistant="resumable" if self._run.resumable else "echo",
            after_seconds=3600 if self._run.scheduled else None,
            max_attempts=MAX_ATTEMPTS,
        )
        self._runs[self._run] = created.run.pk
        return created

    def _claim(self, worker: int, alive: bool) -> object:
        return claim_run(run_id=self._id, worker_id=self._workers[worker].pk)

    def _step(self, attempt: int, values: dict[str, Any]) -> object:
        return write_checkpoint(run_id=self._id, thread_id=self._thread.pk, attempt=attempt, delta=values)

    def _finish(self, attempt: int, status: RunStatus, values: dict[str, Any] | None, left: bool) -> object:
        error = None if status == RunStatus.SUCCESS else {"type": "E", "message": "", "traceback": ""}
        outcome = Outcome(status=status, values=values, error=error)
        return finish_run(run_id=self._id, attempt=attempt, outcome=outcome, left=left)

    def _cancel(self, action: CancelAction) -> object:
        return cancel_run(run_id=self._id, actor=SYSTEM, action=action)

    def _time_out(self, attempt: int) -> object:
        for run in Run.objects.filter(pk=self._id, status=RunStatus.RUNNING):
            make_overdue(run)
        return time_out_run(run_id=self._id, attempt=attempt, actor=SYSTEM)

    def _executor_gone(self, attempt: int, departure: Departure, worker: int | None) -> object:
        holder = self._workers[worker or 0]
        return executor_gone(run_id=self._id, attempt=attempt, worker_id=holder.pk, departure=departure, actor=SYSTEM)

    def _bury(self, worker: int) -> object:
        if self._workers[worker].buried_at is None:
            bury(self._workers[worker])
            self._workers[worker].refresh_from_db()
        self._workers.append(make_worker())
        return DONE

    def _become_due(self) -> object:
        past = ClockTimestamp() - timedelta(seconds=1)
        Run.objects.filter(pk=self._id, not_before__isnull=False).update(not_before=past)
        return DONE

    def _sweep(self) -> object:
        dispatch_lost_runs()
        return DONE

    def _delete(self) -> object:
        delete_run(thread_id=self._thread.pk, run_id=self._id, actor=self._actor)
        return DONE

    def _remove_deleted(self) -> object:
        remove_deleted_runs()
        return DONE

    # The comparison

    def compare(self, threads: Sequence[ModelThread]) -> None:
        """Compare all that can be seen of the threads that were touched, and ask the checker of the invariants."""
        touched = sorted(self._touched)
        for model, thread in [(threads[place], self._threads[place]) for place in touched]:
            thread.refresh_from_db()
            assert thread.status == model.status
            self._compare_state(model.head, thread.head)
            self._compare_queue(model, thread)
            rows = {row.pk: row for row in thread.runs.select_related("base")}
            assert set(rows) == {self._runs[run] for run in model.runs}
            histories = self._histories(thread)
            for run in model.runs:
                self._compare_run(run, rows[self._runs[run]], histories[self._runs[run]])
        checked = [self._threads[place].pk for place in touched]
        assert [str(violation) for violation in find_violations(checked)] == []
        self._touched.clear()

    def _compare_state(self, model: State | None, row: Checkpoint | None) -> None:
        assert (model is None) == (row is None)
        if model is None or row is None:
            return
        assert self._states.setdefault((row.thread_id, model.number), row.pk) == row.pk
        assert (row.values, bool(row.next)) == (model.values, model.waits)

    def _compare_queue(self, model: ModelThread, thread: Thread) -> None:
        first = lock_thread(thread.pk).first_in_queue()
        assert (first and first.pk) == (self._runs[model.queue[0]] if model.queue else None)
        places = sorted(model.in_flight, key=lambda run: (run.attempt == 0, not run.due, run.number))
        expected = {self._runs[run]: at for at, run in enumerate(places) if run.status == RunStatus.PENDING}
        assert queue_positions(thread.pk) == expected

    def _histories(self, thread: Thread) -> dict[UUID, list[tuple[str | None, str]]]:
        histories = defaultdict(list)
        for event in RunEvent.objects.filter(run__thread=thread).order_by("id"):
            histories[event.run_id].append((event.from_status, event.to_status))
        return histories

    def _compare_run(self, model: ModelRun, row: Run, history: list[tuple[str | None, str]]) -> None:
        assert history == model.history
        assert seen(row) == {
            "status": model.status,
            "attempt": model.attempt,
            "crashes": model.crashes,
            "leased": model.leased,
            "action": model.action,
            "rolled back": model.rolled_back,
            "dispatched": model.dispatched,
            "deleted": model.deleted,
        }
        self._compare_state(model.base, row.base)


def seen(row: Run) -> dict[str, Any]:
    """The row in the words of the model."""
    return {
        "status": row.status,
        "attempt": row.attempt,
        "crashes": row.crashes,
        "leased": row.leased,
        "action": row.cancel_action,
        "rolled back": row.rolled_back_at is not None,
        "dispatched": row.dispatched_at is not None,
        "deleted": row.deleted_at is not None,
    }


def outcome_of(call: Callable[[], object]) -> str:
    """What came of it, in the words of the model."""
    try:
        return NOTHING if call() is None else DONE
    except RunError as refusal:
        return type(refusal).__name__


class OnPostgres(Lifecycle):
    """The rules, compared with the services."""

    def make_world(self) -> Postgres:
        return Postgres()


@pytest.fixture(autouse=True)
def short_queues(settings: Settings) -> None:
    """So that they are full now and then."""
    settings.RUNS = {**settings.RUNS, "MAX_QUEUED_RUNS": MAX_QUEUED_RUNS}


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("db", "assistants")
def test_the_services_do_what_the_model_says() -> None:
    run_state_machine_as_test(OnPostgres, settings=search(rounds(100), steps=30))


@pytest.mark.parametrize("forgotten", ["runs.services.stop.move_head", "runs.services.lifecycle.move_head"])
@pytest.mark.usefixtures("db", "assistants")
def test_a_service_that_forgets_to_return_to_the_base_is_found_out(forgotten: str) -> None:
    with mock.patch(forgotten), pytest.raises(AssertionError):
        run_state_machine_as_test(OnPostgres, settings=search(30, steps=30))
