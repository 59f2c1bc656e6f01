"""Jobs that nobody waits for are done a moment later, in their order, whatever becomes of one of them."""

import threading

from runs.execution.graphs.linger import LINGER_SECONDS, Linger
from tests.support.ledger import wait_until


def test_jobs_are_done_in_their_order_by_one_thread_that_goes_on() -> None:
    linger, done = Linger(), []
    for number in range(50):
        linger.call(lambda number=number: done.append((number, threading.get_ident())))  # type: ignore[misc]
    wait_until(lambda: len(done) == 50, "all to be done")
    assert [number for number, _ in done] == list(range(50))
    linger.call(lambda: 1 / 0)
    wait_until(linger._jobs.empty, "it to be taken")
    linger.call(lambda: done.append((50, threading.get_ident())))
    wait_until(lambda: len(done) == 51, "the last to be done")
    assert len({ident for _, ident in done}) == 1


def test_a_job_is_not_done_at_once() -> None:
    """Neither the first, nor one that comes just before others are done."""
    linger, done = Linger(), threading.Event()
    for _ in range(3):
        done.clear()
        linger.call(done.set)
        assert not done.wait(LINGER_SECONDS / 2)
        assert done.wait(5.0)
