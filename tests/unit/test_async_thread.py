"""The thread on which asgiref lets an assistant's async code use the ORM."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from asgiref.sync import SyncToAsync, sync_to_async

from runs.execution import connections
from runs.execution.connections import begin_async_thread, forget_async_connections


@pytest.fixture
def forgotten_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """In which threads connections were dropped."""
    threads: list[str] = []
    monkeypatch.setattr(SyncToAsync, "single_thread_executor", SyncToAsync.single_thread_executor)
    monkeypatch.setattr(
        connections, "forget_assistants_connections", lambda: threads.append(threading.current_thread().name)
    )
    begin_async_thread()
    yield threads
    SyncToAsync.single_thread_executor.shutdown()


def test_what_an_attempt_has_used_is_forgotten_once_in_that_thread(forgotten_in: list[str]) -> None:
    used = asyncio.run(sync_to_async(lambda: threading.current_thread().name)())

    assert forget_async_connections(5.0)
    assert forget_async_connections(5.0)
    assert forgotten_in == [used]


def test_a_thread_that_nobody_has_used_is_not_woken(forgotten_in: list[str]) -> None:
    assert forget_async_connections(5.0)
    assert forgotten_in == []


def test_a_call_that_goes_on_is_seen(forgotten_in: list[str]) -> None:
    may_end = threading.Event()
    call = SyncToAsync.single_thread_executor.submit(may_end.wait, 30.0)  # as asgiref's loop does it

    assert not forget_async_connections(0.01)
    may_end.set()
    assert forget_async_connections(30.0)
    assert call.done()


def test_who_uses_it_while_it_is_being_forgotten_is_forgotten_the_next_time(
    forgotten_in: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetting = connections.forget_assistants_connections

    def forget_while_it_is_used() -> None:
        forgetting()
        if len(forgotten_in) == 1:
            SyncToAsync.single_thread_executor.submit(int)

    monkeypatch.setattr(connections, "forget_assistants_connections", forget_while_it_is_used)
    SyncToAsync.single_thread_executor.submit(int)

    assert [forget_async_connections(5.0) for _ in range(3)] == [True] * 3
    assert len(forgotten_in) == 2
