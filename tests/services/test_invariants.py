"""The checker of the invariants: silent on what services write, and it finds whatever else is planted."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from runs.models import Checkpoint, IdempotencyKey, Run, RunEvent, Thread
from runs.services.idempotency import Idempotency
from runs.services.invariants import find_violations
from runs.states import CancelAction, RunStatus
from tests.support.factories import (
    cancel,
    claim,
    create,
    finish,
    leave,
    make_actor,
    make_run,
    make_thread,
    make_worker,
    running,
    step,
)

NOW = timezone.now()


@dataclass
class Scene:
    """Rows of every kind, all as services write them."""

    thread: Thread = field(default_factory=make_thread)
    other: Thread = field(default_factory=lambda: make_thread(make_actor("grace")))

    def __post_init__(self) -> None:
        key = Idempotency.of(key="k", route="r", body={})
        self.done = finish(claim(create(self.thread, idempotency=key).run), page=0)
        self.rolled_back = running(self.thread)
        self.undone = step(self.rolled_back, page=1)
        cancel(self.rolled_back, CancelAction.ROLLBACK)
        leave(self.rolled_back)
        self.stopped = running(self.thread, assistant="resumable")
        step(self.stopped, page=2)
        leave(self.stopped)
        step(claim(self.stopped), page=3)
        self.stopped.refresh_from_db()
        cancel(self.stopped)
        leave(self.stopped)
        self.skipped = make_run(self.thread)
        cancel(self.skipped)
        self.begun = running(self.thread)
        self.lost = step(self.begun, page=4)
        leave(self.begun)
        self.begun = claim(self.begun)
        self.step = step(self.begun, page=5)
        self.waiting = make_run(self.thread)
        self.elsewhere = finish(running(self.other), page=9)
        self.queued = make_run(self.other)
        self.scheduled = make_run(self.other, after_seconds=3600)
        self.thread.refresh_from_db()
        self.other.refresh_from_db()


@pytest.fixture
def scene() -> Scene:
    """Rows on tables whose own constraints are gone until the end of the test."""
    scene = Scene()
    assert found() == []
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for constraint in [*Run._meta.constraints, *Thread._meta.constraints]:
            table = "runs_run" if constraint in Run._meta.constraints else "runs_thread"
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {constraint.name}")
            cursor.execute(f"DROP INDEX IF EXISTS {constraint.name}")
    return scene


def found() -> list[str]:
    """What the checker says."""
    return [str(violation) for violation in find_violations()]


def put(row: Any, **columns: Any) -> None:
    """Write columns past all services."""
    type(row).objects.filter(pk=row.pk).update(**columns)


def event(run: Run, to: RunStatus) -> RunEvent:
    """The latest event of the run that led there."""
    return run.events.filter(to_status=to).latest("id")


Plant = Callable[[Scene], None]
ROWS: list[tuple[str, str, Plant]] = [
    ("I1", "waiting: has an unknown status", lambda s: put(s.waiting, status="paused")),
    ("I1", "done: is terminal and has not finished", lambda s: put(s.done, finished_at=None)),
    ("I1", "waiting: has finished and is in flight", lambda s: put(s.waiting, finished_at=NOW)),
    ("I1", "begun: is running without a time limit", lambda s: put(s.begun, timeout_at=None)),
    ("I1", "waiting: is in flight after its last crash", lambda s: put(s.waiting, crashes=3)),
    ("I1", "waiting: is deleted and in flight", lambda s: put(s.waiting, deleted_at=NOW)),
    ("I1", "waiting: is deleted and in flight", lambda s: put(s.thread, deleted_at=NOW)),
    ("I1", "done: has an error and did not fail", lambda s: put(s.done, error={"type": "E"})),
    ("I2", "begun: is running and not leased", lambda s: put(s.begun, leased=False)),
    ("I2", "waiting: is pending and leased", lambda s: put(s.waiting, leased=True, worker=make_worker())),
    ("I2", "begun: is leased and nobody holds it", lambda s: put(s.begun, worker=None)),
    ("I2", "waiting: is leased and never began", lambda s: put(s.waiting, leased=True)),
    ("I2", "waiting: is the second lease of its thread", lambda s: put(s.waiting, leased=True)),
    ("I2", "waiting: is the second begun run of its thread", lambda s: put(s.waiting, attempt=1)),
    ("I3", "done: was displaced and is not interrupted", lambda s: put(s.done, displaced_by=s.begun)),
    ("I3", "stopped: was displaced by a run of another thread", lambda s: put(s.stopped, displaced_by=s.elsewhere)),
    ("I3", "stopped: was displaced by an earlier run", lambda s: put(s.stopped, displaced_by=s.done)),
    ("I4", "stopped: is interrupted and nobody cancelled it", lambda s: put(s.stopped, cancelled_by="")),
    ("I4", "done: was cancelled and is not interrupted", lambda s: put(s.done, cancelled_at=NOW)),
    ("I4", "stopped: has half a cancel", lambda s: put(s.stopped, cancelled_at=None)),
    ("I4", "stopped: was to be rolled back and was not", lambda s: put(s.stopped, cancel_action="rollback")),
    ("I4", "done: was rolled back and was not to be", lambda s: put(s.done, rolled_back_at=NOW)),
    ("I5", "waiting: has a base and never began", lambda s: put(s.waiting, base=s.step)),
    ("I5", "begun: has a base of another thread", lambda s: put(s.begun, base=s.other.head)),
    ("I5", "begun: has a checkpoint of its own as base", lambda s: put(s.begun, base=s.step)),
    ("I5", "step: is of a run of another thread", lambda s: put(s.step, run=s.elsewhere)),
    ("I5", "step: follows a checkpoint of another thread", lambda s: put(s.step, parent=s.other.head)),
    ("I5", "step: follows a checkpoint that was given up", lambda s: put(s.step, parent=s.undone)),
    ("I5", "step: follows a checkpoint that was given up", lambda s: put(s.step, parent=s.lost)),
    ("I5", "step: is of an attempt that never was", lambda s: put(s.step, attempt=7)),
    ("I5", "thread: has a head of another thread", lambda s: put(s.thread, head=s.other.head)),
    ("I5", "thread: has a head of a run that was rolled back", lambda s: put(s.thread, head=s.undone)),
    ("I5", "thread: has a head of an attempt that was given up", lambda s: put(s.thread, head=s.lost)),
    ("I5", "thread: has a head that is neither base nor step of its last run", lambda s: put(s.thread, head=None)),
    ("I7", "other: has a run that waits and was never dispatched", lambda s: put(s.queued, dispatched_at=None)),
    ("I11", "done: belongs to somebody else than its thread", lambda s: put(s.done, owner=s.other.owner)),
    ("I11", "key: made a run of somebody else", lambda s: put(IdempotencyKey.objects.get(), owner=s.other.owner)),
    ("I12", "thread: shows another status than its runs and its head give it", lambda s: put(s.thread, status="idle")),
    ("I12", "other: shows another status than its runs and its head give it", lambda s: put(s.other, status="error")),
]


def test_a_row_that_no_service_writes_is_found_and_named(scene: Scene) -> None:
    overlooked = [
        what for invariant, what, plant in ROWS if f"{invariant} {named(scene, what)}" not in after(plant, scene)
    ]
    assert overlooked == []


def after(plant: Plant, scene: Scene) -> list[str]:
    """What the checker says after the planting, which is undone."""
    savepoint = transaction.savepoint()
    plant(scene)
    said = found()
    transaction.savepoint_rollback(savepoint)
    return said


def named(scene: Scene, what: str) -> str:
    """The words of a violation, with the primary key of the row in place of its name here."""
    name, _, said = what.partition(": ")
    row = IdempotencyKey.objects.get() if name == "key" else getattr(scene, name)
    tables = {Run: "run", Thread: "thread", Checkpoint: "checkpoint", IdempotencyKey: "idempotency key"}
    return f"{tables[type(row)]} {row.pk}: {said}"


HISTORIES: list[tuple[str, Plant]] = [
    ("done: event {claimed} leaves pending, but the run was None", lambda s: forget(event(s.done, RunStatus.PENDING))),
    (
        "done: event {ended} is no transition: pending -> success",
        lambda s: put(event(s.done, RunStatus.SUCCESS), from_status="pending"),
    ),
    ("done: is error, its events end at success", lambda s: put(s.done, status="error")),
    ("done: event {ended} names attempt 5 in attempt 1", lambda s: put(event(s.done, RunStatus.SUCCESS), attempt=5)),
    ("done: is at attempt 2, its events at 1", lambda s: put(s.done, attempt=2)),
    ("done: counts 1 crashes, its events show 0", lambda s: put(s.done, crashes=1)),
    ("stopped: was settled more than once", lambda s: settle_again(s.stopped)),
    ("stopped: was settled and is leased", lambda s: put(s.stopped, leased=True)),
    ("stopped: lost its lease without an event", lambda s: forget(event(s.stopped, RunStatus.INTERRUPTED))),
    ("skipped: was settled and nothing had executed it", lambda s: settle_again(s.skipped)),
]


def forget(event: RunEvent) -> None:
    """Remove an event, which nobody does."""
    event.delete()


def settle_again(run: Run) -> None:
    """Write a settlement past all services."""
    RunEvent.objects.create(run=run, from_status=run.status, to_status=run.status, attempt=run.attempt, actor="nobody")


def test_a_history_that_no_service_writes_is_found(scene: Scene) -> None:
    ids = {"claimed": event(scene.done, RunStatus.RUNNING).pk, "ended": event(scene.done, RunStatus.SUCCESS).pk}
    for run in (scene.stopped, scene.skipped):
        run.refresh_from_db()
    overlooked = [
        what for what, plant in HISTORIES if f"I12 {named(scene, what).format(**ids)}" not in after(plant, scene)
    ]
    assert overlooked == []


def test_a_run_that_began_while_another_was_leased_is_found(scene: Scene) -> None:
    put(event(scene.done, RunStatus.SUCCESS), id=10**9)
    assert f"I2 run {scene.rolled_back.pk}: began attempt 1 while {scene.done.pk} was leased" in found()


def test_a_run_that_overtook_another_is_found(scene: Scene) -> None:
    put(scene.done, sequence=10**9)
    assert f"I2 run {scene.rolled_back.pk}: began after a run that was accepted later" in found()


def test_a_scheduled_run_that_has_long_been_due_and_was_never_dispatched_is_found(scene: Scene) -> None:
    put(scene.queued, dispatched_at=None, not_before=timezone.now())
    assert found() == []
    put(scene.queued, not_before=timezone.now() - timedelta(minutes=1))
    assert found() == [f"I7 thread {scene.other.pk}: has a run that waits and was never dispatched"]


def test_all_threads_are_checked_in_batches_or_only_some(scene: Scene) -> None:
    put(scene.thread, status="idle")
    put(scene.other, status="idle")
    by_batches = {violation.row for violation in find_violations(batch=1)}
    assert by_batches == {f"thread {scene.thread.pk}", f"thread {scene.other.pk}"}
    assert [violation.row for violation in find_violations([scene.other.pk])] == [f"thread {scene.other.pk}"]


def test_the_command_is_content_with_what_services_write() -> None:
    Scene()
    out = StringIO()
    call_command("check_invariants", stdout=out)
    assert out.getvalue() == "no violations\n"


def test_the_command_names_each_violation_on_a_line_and_fails(scene: Scene) -> None:
    put(scene.thread, status="idle")
    put(scene.waiting, owner=scene.other.owner)
    out = StringIO()
    with pytest.raises(CommandError, match="2 violations") as failed:
        call_command("check_invariants", thread=[scene.thread.pk, scene.other.pk], stdout=out)
    assert failed.value.returncode == 1
    assert sorted(out.getvalue().splitlines()) == sorted(found())


def test_the_command_speaks_json_and_checks_only_what_it_is_asked_to(scene: Scene) -> None:
    put(scene.thread, status="idle")
    put(scene.other, status="idle")
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("check_invariants", "--json", thread=[scene.other.pk], stdout=out)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {
            "invariant": "I12",
            "row": f"thread {scene.other.pk}",
            "what": "shows another status than its runs and its head give it",
        }
    ]
