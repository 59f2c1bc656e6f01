"""Interruptions aimed at the last millisecond of a run, with another run following in the same child."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from runs.actors import Actor
from runs.errors import NotCancellable
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.states import TERMINAL, RunStatus
from tests.support.assistants import ANSWER
from tests.support.factories import make_run, make_thread
from tests.support.ledger import entries, wait_for_entry
from tests.support.scale import rounds
from tests.support.stage import wait_until_settled
from tests.support.worker import WorkerProcess

NAP_SECONDS = 0.03
STEP_SECONDS = 0.0005

pytestmark = pytest.mark.usefixtures("db", "intact")


@pytest.fixture(scope="module")
def worker(db: None) -> Iterator[WorkerProcess]:
    """A single child."""
    with WorkerProcess(concurrency=1, prefetch=2) as worker:
        yield worker


@pytest.mark.timeout(300)
def test_no_innocent_run_is_hit(worker: WorkerProcess) -> None:
    """The aim is corrected after every shot, so that about half of them come just in time and half just too late."""
    (child,) = worker.children()
    aim = 0.0
    outcomes: Counter[str] = Counter()
    for _ in range(rounds(400)):
        victim, innocent = shoot_at_the_end(aim)
        outcomes[victim.status] += 1
        aim += STEP_SECONDS if victim.status == RunStatus.INTERRUPTED else -STEP_SECONDS
        assert_ended_once(victim)
        assert_untouched(innocent, child)
    assert set(outcomes) == {RunStatus.SUCCESS, RunStatus.INTERRUPTED}
    assert worker.children() == {child}


def shoot_at_the_end(aim: float) -> tuple[Run, Run]:
    """Cancel a run `aim` seconds after its nap should end; a run of another thread waits behind it."""
    victim = make_run(make_thread(), assistant="napper", kwargs={"input": {"seconds": NAP_SECONDS}})
    innocent = make_run(make_thread(), assistant="prompt")
    ends_at = wait_for_entry(victim.pk, "start").at + NAP_SECONDS
    time.sleep(max(0.0, ends_at + aim - time.time()))
    try:
        cancel_run(run_id=victim.pk, actor=Actor("operator"))
    except NotCancellable:
        pass
    return wait_until_settled(victim.pk), wait_until_settled(innocent.pk)


def assert_ended_once(run: Run) -> None:
    """One terminal status, and nothing done after it was settled."""
    transitions = run.events.values_list("from_status", "to_status")
    assert [to for came_from, to in transitions if to in TERMINAL and came_from not in TERMINAL] == [run.status]
    ended = run.events.last()
    assert ended is not None
    assert entries(run.pk)[-1].time <= ended.at


def assert_untouched(innocent: Run, child: int) -> None:
    """The run that followed knows nothing of it."""
    assert (innocent.status, innocent.attempt, innocent.crashes) == (RunStatus.SUCCESS, 1, 0)
    assert innocent.thread.head.values == ANSWER
    assert {entry.pid for entry in entries(innocent.pk)} == {child}
