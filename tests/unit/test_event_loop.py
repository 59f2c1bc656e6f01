"""The loop of an attempt: it asks the system less often than asyncio does, and misses nothing."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from runs.execution.event_loop import MOST_SKIPPED, _BusySelector, event_loop
from tests.support.attempt import LocalAttempt, local_attempt


@pytest.fixture
def attempt() -> Iterator[LocalAttempt]:
    with local_attempt() as attempt:
        yield attempt


def test_a_loop_that_always_has_something_to_do_hears_of_the_world(attempt: LocalAttempt) -> None:
    here, there = socket.socketpair()
    with here, there, event_loop(attempt.guard) as loop:
        heard = asyncio.Event()

        async def turns_until_heard() -> int:
            loop.add_reader(here, heard.set)
            there.send(b"x")
            turns = 0
            while not heard.is_set() and turns < 100:
                await asyncio.sleep(0)
                turns += 1
            loop.remove_reader(here)
            return turns

        assert loop.run_until_complete(turns_until_heard()) <= MOST_SKIPPED + 2


def test_a_loop_that_waits_is_woken_by_a_thread(attempt: LocalAttempt) -> None:
    with event_loop(attempt.guard) as loop:
        called = loop.create_future()
        thread = threading.Timer(0.05, lambda: loop.call_soon_threadsafe(called.set_result, "said"))
        thread.start()
        assert loop.run_until_complete(asyncio.wait_for(called, 5.0)) == "said"
        thread.join()


def test_who_does_not_wait_is_spared_some_calls_of_the_system_in_a_row() -> None:
    here, there = socket.socketpair()
    with here, there, _BusySelector() as selector:
        selector.register(here, 1)
        there.send(b"x")
        assert [len(selector.select(0)) for _ in range(MOST_SKIPPED + 2)] == [*[0] * MOST_SKIPPED, 1, 0]
        assert len(selector.select(5.0)) == 1


def test_other_loops_are_left_as_they_are(attempt: LocalAttempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever executes assistants on uvloop sets a policy."""

    class Other(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            loop = super().new_event_loop()
            vars(loop)["is_other"] = True
            return loop

    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Other())
    try:
        with event_loop(attempt.guard) as loop:
            assert "is_other" in vars(loop)
    finally:
        asyncio.set_event_loop_policy(before)
