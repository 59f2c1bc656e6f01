"""The guard over an attempt: what an order raises, where, and when not. Real signals, in this process."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from runs.errors import Interruption, RunCancelled, RunTimedOut, WorkerShutdown
from runs.execution.slots import Order
from tests.support.attempt import LocalAttempt, in_thread, local_attempt

PATIENCE_SECONDS = 10.0


@pytest.fixture
def attempt() -> Iterator[LocalAttempt]:
    """An attempt that this process executes."""
    with local_attempt() as attempt:
        yield attempt


def execute(attempt: LocalAttempt, work: Callable[[], object]) -> None:
    """Call `work` as the assistant's code."""
    with attempt.guard.assistant_code():
        work()


def spin(seconds: float = PATIENCE_SECONDS) -> None:
    """Busy for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


# Where


def test_outside_of_assistant_code_an_order_is_only_noted(attempt: LocalAttempt) -> None:
    """Claiming, storing and finishing are never cut short."""
    attempt.order()
    spin(0.01)
    assert attempt.guard.order == Order.CANCELLED
    with pytest.raises(RunCancelled):
        attempt.guard.raise_if_ordered()


def test_inside_assistant_code_it_is_raised_at_once(attempt: LocalAttempt) -> None:
    """Whatever that code is doing."""

    def work() -> None:
        attempt.order()
        spin()

    with pytest.raises(RunCancelled):
        execute(attempt, work)


def test_a_blocking_call_is_interrupted(attempt: LocalAttempt) -> None:
    """Waiting for a socket, for instance."""
    reader, writer = os.pipe()
    attempt.order_soon()
    with pytest.raises(RunCancelled):
        execute(attempt, lambda: os.read(reader, 1))
    os.close(reader)
    os.close(writer)


def test_an_own_section_is_not_cut_short(attempt: LocalAttempt) -> None:
    """What assistant code calls of the executor ends first."""
    ended = []

    def work() -> None:
        with attempt.guard.own_section():
            attempt.order()
            spin(0.01)
            ended.append(True)

    with pytest.raises(RunCancelled):
        execute(attempt, work)
    assert ended == [True]


def test_order_for_another_attempt_is_ignored(attempt: LocalAttempt) -> None:
    """Another number of the same run, the same number of another run."""
    with attempt.guard.assistant_code():
        attempt.order(attempt=2)
        attempt.order(run_id=uuid4())
        spin(0.01)
    assert attempt.guard.order is None


def test_a_signal_without_an_order_is_ignored(attempt: LocalAttempt) -> None:
    """Anybody may send one."""
    with attempt.guard.assistant_code():
        os.kill(os.getpid(), signal.SIGURG)
        spin(0.01)


def test_order_that_came_before_the_guard_is_found(attempt: LocalAttempt) -> None:
    """The signal was lost, the slot was not."""
    attempt.slot.order(attempt.run_id, 1, Order.TIMED_OUT)
    with attempt.guard.watching(), pytest.raises(RunTimedOut):
        attempt.guard.raise_if_ordered()


# What


@pytest.mark.parametrize(
    ("order", "seen"),
    [
        (Order.CANCELLED, RunCancelled),
        (Order.TIMED_OUT, RunTimedOut),
        (Order.SHUTDOWN, WorkerShutdown),
        (Order.FENCED, RunCancelled),
    ],
)
def test_what_the_assistant_sees(attempt: LocalAttempt, order: Order, seen: type[Interruption]) -> None:
    """One exception for each reason; none is an Exception."""

    def work() -> None:
        attempt.order(order)
        spin()

    with pytest.raises(seen):
        execute(attempt, work)
    assert not issubclass(seen, Exception)


def test_the_first_order_stays(attempt: LocalAttempt) -> None:
    """A later reason does not change what is being done already."""
    attempt.order(Order.TIMED_OUT)
    attempt.order(Order.CANCELLED)
    assert attempt.guard.order == Order.TIMED_OUT


def test_end_of_the_workers_life_fences_the_attempt(attempt: LocalAttempt) -> None:
    """Also when the worker has begun another one since."""

    def work() -> None:
        attempt.table.end_life()
        attempt.table.begin_life(uuid4())
        os.kill(os.getpid(), signal.SIGURG)
        spin()

    with pytest.raises(RunCancelled):
        execute(attempt, work)
    assert attempt.guard.order == Order.FENCED


def test_sigterm_hands_the_attempt_back_and_ends_the_process(attempt: LocalAttempt) -> None:
    """The main process learns of it from the slot."""

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        spin()

    with pytest.raises(WorkerShutdown):
        execute(attempt, work)
    execution = attempt.slot.execution()
    assert execution is not None
    assert (attempt.guard.order, attempt.guard.process_must_end, execution.terminated) == (Order.SHUTDOWN, True, True)


# When not: unwinding


def test_not_while_unwinding(attempt: LocalAttempt) -> None:
    """Neither in `finally`, nor in what is raised and handled there."""
    cleaned = []

    def work() -> None:
        attempt.order_soon(times=6, every=0.03)
        try:
            spin()
        finally:
            spin(0.1)
            cleaned.append("finally")
            try:
                raise KeyError
            except KeyError:
                spin(0.1)
                cleaned.append("handled")

    with pytest.raises(RunCancelled):
        execute(attempt, work)
    assert cleaned == ["finally", "handled"]


def test_again_after_it_was_swallowed(attempt: LocalAttempt) -> None:
    """Whoever ignores one gets the next."""
    attempt.order_soon(times=3, every=0.05)
    seen = 0
    with attempt.guard.assistant_code():
        while seen < 3:
            try:
                spin()
            except RunCancelled:
                seen += 1
    assert seen == 3


def test_another_exception_is_not_unwinding(attempt: LocalAttempt) -> None:
    """An assistant that handles an error of its own can be interrupted there."""

    def work() -> None:
        try:
            raise KeyError
        except KeyError:
            attempt.order()
            spin()

    with pytest.raises(RunCancelled):
        execute(attempt, work)


# Threads


def test_thread_is_interrupted_where_it_is(attempt: LocalAttempt) -> None:
    """Although a signal reaches the main thread only, and that one waits for the thread."""
    thread, outcome = in_thread(spin)
    attempt.order_soon()
    with pytest.raises(RunCancelled):
        execute(attempt, thread.join)
    assert outcome.result(1) == "RunCancelled"
    assert attempt.guard.wait_for_threads(1.0)


def test_older_thread_is_not_touched(attempt: LocalAttempt) -> None:
    """Only what the attempt has started is its own."""
    assert attempt.guard.started_threads() == []


def test_thread_in_an_own_section_goes_on(attempt: LocalAttempt) -> None:
    """And sees the order at its end."""
    ended = threading.Event()
    entered = threading.Event()

    def work() -> None:
        with attempt.guard.own_section():
            entered.set()
            spin(0.1)
            ended.set()

    with attempt.guard.assistant_code():
        _, outcome = in_thread(work)
    entered.wait()
    attempt.order()
    assert outcome.result(PATIENCE_SECONDS) == "RunCancelled"
    assert ended.is_set()


def test_thread_may_clean_up(attempt: LocalAttempt) -> None:
    """For as long as the main process lets it, also if it gets more orders."""
    cleaning, cleaned = threading.Event(), threading.Event()

    def work() -> None:
        try:
            spin()
        finally:
            cleaning.set()
            spin(0.2)
            cleaned.set()

    with attempt.guard.assistant_code():
        in_thread(work)
    attempt.order()
    cleaning.wait()
    attempt.order()
    assert attempt.guard.wait_for_threads(0.0)
    assert cleaned.is_set()


def test_thread_that_stays(attempt: LocalAttempt) -> None:
    """Nobody waits for it for ever."""
    release = threading.Event()
    in_thread(release.wait)
    assert not attempt.guard.wait_for_threads(0.05)
    release.set()
    assert attempt.guard.wait_for_threads(PATIENCE_SECONDS)


def test_interrupted_thread_prints_nothing(attempt: LocalAttempt, capsys: pytest.CaptureFixture[str]) -> None:
    """It ended as it was told to; what it raises by itself is printed as ever."""
    with attempt.guard.assistant_code():
        interrupted, outcome = in_thread(spin)
    attempt.order()
    interrupted.join()
    assert (outcome.result(), capsys.readouterr().err) == ("RunCancelled", "")

    failing, outcome = in_thread(lambda: 1 / 0)
    failing.join()
    assert outcome.result() == "ZeroDivisionError"
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err
