"""`manage.py recover_runs`: what a crash has left behind is shown, then repaired, and the queue is built anew."""

from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command

from runs.locks import try_lock_thread
from runs.management.commands import recover_runs as recover_runs_command
from runs.models import Run, RunEvent, Worker
from runs.services import recover
from runs.states import RunStatus
from tests.support.factories import (
    bury,
    create,
    expire,
    make_overdue,
    make_run,
    make_thread,
    make_worker,
    running,
    stored,
)
from tests.support.fixtures import Outbox

pytestmark = pytest.mark.usefixtures("commits", "intact")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long workers were given to renew, in no time."""
    waits: list[float] = []
    monkeypatch.setattr(recover_runs_command, "time", SimpleNamespace(sleep=waits.append))
    return waits


def recover_runs(*options: str) -> list[str]:
    """What the command says."""
    out = StringIO()
    call_command("recover_runs", *options, stdout=out)
    return out.getvalue().splitlines()


def test_nothing_to_do() -> None:
    running(make_thread(), make_worker())
    assert recover_runs("--dry-run") == ["nothing to do"]


def test_everything_is_shown_and_nothing_is_done(outbox: Outbox) -> None:
    dead, lost, old = make_worker(), make_worker(), make_overdue(running(make_thread()))
    of_dead, of_lost, waits = running(make_thread(), dead), running(make_thread(), lost), make_run(make_thread())
    make_run(waits.thread)
    bury(dead)
    expire(lost)
    outbox.clear()
    before = (list(Run.objects.values()), list(Worker.objects.values()), RunEvent.objects.count())
    assert recover_runs("--dry-run") == [
        f"would time out run {old.pk}",
        f"would bury unless it renews worker {lost.pk}",
        f"would take the lease away from run {of_dead.pk}",
        f"would take the lease away, unless its worker renews, from run {of_lost.pk}",
        f"would publish run {waits.pk}",
    ]
    assert (list(Run.objects.values()), list(Worker.objects.values()), RunEvent.objects.count()) == before
    assert outbox.published == []


def test_everything_is_repaired(outbox: Outbox, waits: list[float]) -> None:
    lost = make_worker()
    run, old = running(make_thread(), lost), make_overdue(running(make_thread()))
    expire(lost)
    outbox.clear()
    assert recover_runs() == [
        "1 workers have not renewed their lease; giving them 15 s to do so",
        "timed out: 1",
        "buried workers: 1",
        "recovered runs: 1",
        "forgot dispatches: 1",
        "published runs: 1",
    ]
    assert waits == [15.0]
    assert (stored(run).status, stored(run).crashes, stored(old).status) == (RunStatus.PENDING, 1, RunStatus.TIMEOUT)
    assert recover_runs("--dry-run") == [f"would publish run {run.pk}"]


def test_the_queue_is_rebuilt_from_the_database_alone(outbox: Outbox) -> None:
    """The first of each thread, however many there are and however often they were published before."""
    firsts = [make_run(make_thread()) for _ in range(150)]
    for run in firsts[:3]:
        make_run(run.thread)
    create(make_thread(), after_seconds=3600)
    make_run(running(make_thread()).thread)
    outbox.clear()
    assert recover_runs()[-1] == "published runs: 150"
    assert sorted(outbox.published) == sorted(run.pk for run in firsts)


def test_it_goes_on_past_what_others_hold_and_says_how_many_it_left_out(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    firsts = [make_run(make_thread()) for _ in range(recover.BATCH + 20)]
    Run.objects.update(dispatched_at=None, dispatches=0)
    held = set(recover.lost_threads(recover.BATCH))
    monkeypatch.setattr(recover, "try_lock_thread", lambda pk: None if pk in held else try_lock_thread(pk))
    outbox.clear()
    assert recover_runs()[-2:] == [
        "published runs: 20",
        f"left out, because others hold them or they failed: {recover.BATCH}; run this again",
    ]
    assert sorted(outbox.published) == sorted(run.pk for run in firsts if run.thread_id not in held)
    held.clear()
    assert recover_runs()[-1] == f"published runs: {recover.BATCH + 20}"
