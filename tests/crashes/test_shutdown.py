"""Workers whose time to go is over hand their runs to another: no crash is counted, nothing is done twice."""

import signal
from collections.abc import Iterator

import pytest

from runs.models import Worker
from runs.states import RunStatus
from tests.support.assistants import is_alive
from tests.support.ledger import entries, open_gate, wait_for_entry
from tests.support.stack import Stack
from tests.support.stage import empty_queue, history, started, wait_for_status

pytestmark = [pytest.mark.usefixtures("db", "intact", "swept"), pytest.mark.timeout(180)]

#: Nobody but the leaving worker itself can end its life, or hand anything back.
RUNS = {
    "SOFT_SHUTDOWN_SECONDS": 0.5,
    "GRACE_SECONDS": 0.5,
    "INTERRUPT_EVERY_SECONDS": 0.1,
    "LEASE_SECONDS": 600.0,
    "RENEW_SECONDS": 5.0,
}


@pytest.fixture(scope="module")
def stack(db: None) -> Iterator[Stack]:
    """Three workers: one leaves, one takes over, one is being started. No scheduler."""
    empty_queue()
    with Stack(workers=3, schedulers=0, faults=(), runs=RUNS) as stack:
        yield stack


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("kind", ["neighbour", "stubborn"])
def test_shutdown_hands_runs_over(kind: str, signum: signal.Signals, stack: Stack) -> None:
    """What has not finished when the time is up is put back, not counted as a crash, and done by another worker."""
    stack.mend(workers=2)
    run, child = started(kind)
    life, leaving = Worker.objects.get(runs=run.pk), stack.holder(run)
    leaving.send(signum)
    leaving.wait()
    assert not is_alive(child)
    life.refresh_from_db()
    assert life.buried_at is not None
    second = wait_for_entry(run.pk, "start", attempt=2)
    open_gate(run.pk)
    run = wait_for_status(run.pk, RunStatus.SUCCESS)
    assert (run.attempt, run.crashes) == (2, 0)
    assert ("pending", "system/worker", "shutdown") in history(run)
    assert second.time > [entry for entry in entries(run.pk) if entry.attempt == 1][-1].time
