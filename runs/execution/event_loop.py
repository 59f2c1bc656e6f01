"""The event loop of one attempt: what the assistant leaves behind in it is told to end, and waited for a while."""

import asyncio
import logging
import os
import selectors
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from runs.conf import runs_settings
from runs.execution.interruption import Guard
from runs.execution.whereabouts import name_of_task

logger = logging.getLogger(__name__)


#: How the threads of a loop's pool are called, as by asyncio itself.
POOL = "asyncio"
#: As many as a pool has that is not told; asking the system for each attempt costs as much as making the pool.
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)
LOOK_SECONDS = 0.001, 0.02
#: Turns in which a loop does not ask what is ready.
MOST_SKIPPED = 7


@contextmanager
def event_loop(guard: Guard) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that is closed with the block.

    Tasks that are left then are cancelled, and have the grace period for their cleanup, as jobs of the loop's pool have
    for their end. What is still there after it can only be ended with its process: `guard` holds such tasks, and finds
    such threads.
    """
    loop, pool = _new_loop(), ThreadPoolExecutor(POOL_THREADS, thread_name_prefix=POOL)
    loop.set_default_executor(pool)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        until = time.monotonic() + runs_settings().GRACE_SECONDS
        try:
            _end_tasks(loop, until)
            pool.shutdown(wait=False)
            _wait_for_pool(guard, until)
        finally:
            guard.left_tasks = asyncio.all_tasks(loop)
            asyncio.set_event_loop(None)
            loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    """Unless somebody has chosen other loops for this process, one that asks the system less often."""
    if type(asyncio.get_event_loop_policy()) is asyncio.DefaultEventLoopPolicy:
        return asyncio.SelectorEventLoop(_BusySelector())
    return asyncio.new_event_loop()


class _BusySelector(selectors.DefaultSelector):
    """asyncio asks in each turn what is ready, also while it has something to do: a few turns later is soon enough."""

    _skipped = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; nothing for some turns in a row that do not wait."""
        if timeout is not None and timeout <= 0 and self._skipped < MOST_SKIPPED:
            self._skipped += 1
            return []
        self._skipped = 0
        return super().select(timeout)


def _end_tasks(loop: asyncio.AbstractEventLoop, until: float) -> None:
    """What they begin in their cleanup is waited for, not cancelled; then generators that nobody has finished end."""
    if told := asyncio.all_tasks(loop):
        loop.call_later(runs_settings().THREAD_LEAVE_SECONDS, _say_who_is_left, loop, told)
    for task in told:
        task.cancel()
    _wait(loop, until)
    for task in told:
        _report_failure(loop, task)
    if time.monotonic() < until:
        loop.create_task(loop.shutdown_asyncgens())
        _turn_once(loop)  # which is enough if there are none
        _wait(loop, until)


def _wait_for_pool(guard: Guard, until: float) -> None:
    """Not with `shutdown`, which waits for ever. The first looks come soon: most threads have nothing left to do."""
    pause, longest = LOOK_SECONDS
    while any(thread.name.startswith(POOL) for thread in guard.started_threads()) and time.monotonic() < until:
        time.sleep(pause)
        pause = min(2 * pause, longest)


def _say_who_is_left(loop: asyncio.AbstractEventLoop, told: set[asyncio.Task[Any]]) -> None:
    if left := told & asyncio.all_tasks(loop):
        names = ", ".join(map(name_of_task, left))
        logger.warning("the assistant has returned; what it has left behind does not end: %s", names)


def _turn_once(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def _wait(loop: asyncio.AbstractEventLoop, until: float) -> None:
    """Run the loop until no task is left, or the time is over."""
    while (tasks := asyncio.all_tasks(loop)) and (patience := until - time.monotonic()) > 0:
        loop.run_until_complete(asyncio.wait(tasks, timeout=patience))


def _report_failure(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        message = "a task failed after the assistant had returned"
        loop.call_exception_handler({"message": message, "exception": error, "task": task})
