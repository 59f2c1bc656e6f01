"""Driving assistant code of every kind: its steps, its end, and where an interruption meets it."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from runs.errors import Interruption, RunCancelled
from runs.execution.drivers import drive
from runs.execution.slots import Order
from tests.support.attempt import LocalAttempt, local_attempt

FOR_EVER = 10.0


@pytest.fixture
def attempt() -> Iterator[LocalAttempt]:
    """An attempt that this process executes."""
    with local_attempt() as attempt:
        yield attempt


class Steps:
    """Stores what is yielded; the step named in `refuse` is refused."""

    def __init__(self, refuse: Any = None, because: type[BaseException] = ValueError) -> None:
        self.stored: list[Any] = []
        self._refuse, self._because = refuse, because

    def __call__(self, value: Any) -> None:
        if value == self._refuse:
            raise self._because("refused")
        self.stored.append(value)


def busy(seconds: float = FOR_EVER) -> None:
    """Plain Python."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


# The four kinds, undisturbed


def test_function(attempt: LocalAttempt) -> None:
    """What it returns."""
    assert drive(lambda: {"a": 1}, attempt.guard, Steps()) == {"a": 1}


def test_coroutine(attempt: LocalAttempt) -> None:
    """What it returns, with the tasks it started cancelled and its loop closed."""
    left: list[Any] = []

    async def forget() -> None:
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            left.append("task")

    async def assistant() -> dict[str, int]:
        left.append(asyncio.get_running_loop())
        left.append(asyncio.create_task(forget()))
        await asyncio.sleep(0)
        return {"a": 1}

    assert drive(assistant, attempt.guard, Steps()) == {"a": 1}
    loop, task, last = left
    assert (loop.is_closed(), task.cancelled(), last) == (True, True, "task")


def test_generator(attempt: LocalAttempt) -> None:
    """Its steps, in order, and what it returns."""

    def assistant() -> Iterator[int]:
        yield 1
        yield 2
        return "end"  # type: ignore[return-value]

    steps = Steps()
    assert drive(assistant, attempt.guard, steps) == "end"
    assert steps.stored == [1, 2]


def test_async_generator(attempt: LocalAttempt) -> None:
    """Its steps, in order; the loop does not run while one is stored."""
    running: list[bool] = []

    class Watching(Steps):
        def __call__(self, value: Any) -> None:
            running.append(asyncio._get_running_loop() is not None)
            super().__call__(value)

    async def assistant() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.01)
        yield 2

    steps = Watching()
    assert drive(assistant, attempt.guard, steps) is None
    assert (steps.stored, running) == ([1, 2], [False, False])


def test_async_generator_is_one_task(attempt: LocalAttempt) -> None:
    """What it opens before a step it may close after it: timeouts, task groups, context variables."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="lost")
    seen: list[str] = []

    async def assistant() -> AsyncIterator[int]:
        variable.set("kept")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(0.01, "done"))
            yield 1
            seen.append(variable.get())
        seen.append(task.result())
        try:
            async with asyncio.timeout(0.05):
                yield 2
                await asyncio.sleep(FOR_EVER)
        except TimeoutError:
            yield 3

    steps = Steps()
    drive(assistant, attempt.guard, steps)
    assert (steps.stored, seen) == ([1, 2, 3], ["kept", "done"])


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("kind", ["function", "coroutine", "generator", "async generator"])
def test_what_the_assistant_raises_leaves(attempt: LocalAttempt, kind: str, error: type[BaseException]) -> None:
    """Unchanged, whatever it is."""

    def function() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    def generator() -> Iterator[int]:
        yield 1
        raise error

    async def async_generator() -> AsyncIterator[int]:
        yield 1
        raise error

    kinds: dict[str, Callable[[], Any]] = {
        "function": function,
        "coroutine": coroutine,
        "generator": generator,
        "async generator": async_generator,
    }
    with pytest.raises(error):
        drive(kinds[kind], attempt.guard, Steps())


# Refused steps


class Recorder:
    """Generators of both kinds that do the same, and record it."""

    def __init__(self, *, swallow: bool = False) -> None:
        self.log: list[str] = []
        self._swallow = swallow

    def generator(self) -> Iterator[int]:
        """Three steps."""
        try:
            for number in (1, 2, 3):
                try:
                    yield number
                except BaseException as error:
                    self.log.append(type(error).__name__)
                    if not self._swallow or isinstance(error, GeneratorExit):
                        raise
        finally:
            self.log.append("closed")

    async def async_generator(self) -> AsyncIterator[int]:
        """The same three steps."""
        try:
            for number in (1, 2, 3):
                try:
                    yield number
                except BaseException as error:
                    self.log.append(type(error).__name__)
                    if not self._swallow or isinstance(error, GeneratorExit):
                        raise
        finally:
            self.log.append("closed")


KINDS = ("generator", "async_generator")


@pytest.mark.parametrize("kind", KINDS)
def test_refused_step_is_raised_at_its_yield(attempt: LocalAttempt, kind: str) -> None:
    """The assistant sees why; nothing further is stored."""
    recorder, steps = Recorder(), Steps(refuse=2)
    with pytest.raises(ValueError, match="refused"):
        drive(getattr(recorder, kind), attempt.guard, steps)
    assert (steps.stored, recorder.log) == ([1], ["ValueError", "closed"])


@pytest.mark.parametrize("kind", KINDS)
def test_step_after_a_swallowed_refusal_is_not_stored(attempt: LocalAttempt, kind: str) -> None:
    """It is the refusal that leaves."""
    recorder, steps = Recorder(swallow=True), Steps(refuse=2)
    with pytest.raises(ValueError, match="refused"):
        drive(getattr(recorder, kind), attempt.guard, steps)
    assert (steps.stored, recorder.log) == ([1], ["ValueError", "GeneratorExit", "closed"])


@pytest.mark.parametrize("kind", KINDS)
def test_order_that_comes_while_a_step_is_stored(attempt: LocalAttempt, kind: str) -> None:
    """The step is stored, and the assistant interrupted at its `yield`."""
    recorder = Recorder()

    class Ordering(Steps):
        def __call__(self, value: Any) -> None:
            super().__call__(value)
            attempt.order()

    steps = Ordering()
    with pytest.raises(RunCancelled):
        drive(getattr(recorder, kind), attempt.guard, steps)
    assert (steps.stored, recorder.log) == ([1], ["RunCancelled", "closed"])


# Interruption


def test_order_before_the_start(attempt: LocalAttempt) -> None:
    """Nothing of the assistant is executed."""
    attempt.order()
    with pytest.raises(RunCancelled):
        drive(lambda: pytest.fail("executed"), attempt.guard, Steps())


def test_generator_is_interrupted_between_its_steps(attempt: LocalAttempt) -> None:
    """Like any code."""
    log = []

    def assistant() -> Iterator[int]:
        try:
            yield 1
            attempt.order_soon()
            busy()
        except RunCancelled:
            log.append("interrupted")
            raise

    steps = Steps()
    with pytest.raises(RunCancelled):
        drive(assistant, attempt.guard, steps)
    assert (steps.stored, log) == ([1], ["interrupted"])


def test_coroutine_that_awaits_is_cancelled(attempt: LocalAttempt) -> None:
    """It sees CancelledError, as async code expects."""

    async def assistant() -> None:
        attempt.order_soon()
        await asyncio.sleep(FOR_EVER)

    with pytest.raises(asyncio.CancelledError):
        drive(assistant, attempt.guard, Steps())


def test_coroutine_that_does_not_await_is_interrupted(attempt: LocalAttempt) -> None:
    """It sees what plain code sees."""

    async def assistant() -> None:
        attempt.order_soon()
        busy()

    with pytest.raises(RunCancelled):
        drive(assistant, attempt.guard, Steps())


def test_busy_child_task_is_interrupted_and_its_parent_cancelled(attempt: LocalAttempt) -> None:
    """Neither of them can outlast the other."""
    log = []

    async def work() -> None:
        attempt.order_soon()
        try:
            busy()
        finally:
            log.append("child")

    async def assistant() -> None:
        task = asyncio.create_task(work())
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            log.append("parent")
            assert isinstance(await asyncio.gather(task, return_exceptions=True), list)

    with pytest.raises((asyncio.CancelledError, RunCancelled)):
        drive(assistant, attempt.guard, Steps())
    assert log == ["child", "parent"]


def test_blocking_call_in_an_executor_thread(attempt: LocalAttempt) -> None:
    """`asyncio.to_thread`: the task is cancelled, the thread interrupted, both are over."""

    async def assistant() -> None:
        attempt.order_soon(times=3)
        await asyncio.to_thread(busy)

    with pytest.raises(asyncio.CancelledError):
        drive(assistant, attempt.guard, Steps())
    assert attempt.guard.wait_for_threads(0.0)


async def clean_up(log: list[str]) -> None:
    """Takes longer than several orders."""
    await asyncio.sleep(0.3)
    log.append("cleaned")


def cancelled_while_awaiting(attempt: LocalAttempt, log: list[str]) -> Callable[[], Any]:
    """Cleanup after CancelledError."""

    async def assistant() -> None:
        attempt.order_soon(times=6)
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            await clean_up(log)

    return assistant


def interrupted_while_busy(attempt: LocalAttempt, log: list[str]) -> Callable[[], Any]:
    """Cleanup after RunCancelled."""

    async def assistant() -> None:
        attempt.order_soon(times=6)
        try:
            busy()
        finally:
            await clean_up(log)

    return assistant


def refused_at_a_yield(attempt: LocalAttempt, log: list[str]) -> Callable[[], Any]:
    """Cleanup after a refused step."""

    async def assistant() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await clean_up(log)

    return assistant


@pytest.mark.parametrize("kind", [cancelled_while_awaiting, interrupted_while_busy, refused_at_a_yield])
def test_cleanup_that_awaits_has_its_time(
    attempt: LocalAttempt, kind: Callable[[LocalAttempt, list[str]], Callable[[], Any]]
) -> None:
    """Further orders do not cancel it."""
    log: list[str] = []

    def store(_: Any) -> None:
        attempt.order()
        attempt.order_soon(times=6)
        attempt.guard.raise_if_ordered()

    with pytest.raises((asyncio.CancelledError, Interruption)):
        drive(kind(attempt, log), attempt.guard, store)
    assert log == ["cleaned"]


def test_swallowed_interruption_leaves_nothing_to_raise(attempt: LocalAttempt) -> None:
    """The assistant returns as if nothing had happened; that is judged by the order, not here."""

    def assistant() -> str:
        attempt.order_soon()
        try:
            busy()
        except BaseException:
            return "swallowed"
        return "never"

    assert drive(assistant, attempt.guard, Steps()) == "swallowed"
    assert attempt.guard.order == Order.CANCELLED
