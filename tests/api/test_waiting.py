"""What a request that waits gives back."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from runs.api import request_threads
from runs.api.request_threads import request_thread

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """As a server runs it: `async_to_sync` would lend its own thread to everything within."""

    @wraps(test)
    def run(*args: Any, **fixtures: Any) -> None:
        asyncio.run(test(*args, **fixtures))

    return run


def use_the_database() -> tuple[threading.Thread, Any]:
    """As a middleware does after the view: this thread, and the connection it has opened."""
    connection.ensure_connection()
    return threading.current_thread(), connection.connection


@pytest.fixture(autouse=True)
def _nobody_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_threads, "_idle", [])


async def idle(count: int) -> None:
    """Wait until this many threads are there for the next request."""
    async with asyncio.timeout(30):
        while len(request_threads._idle) != count:
            await asyncio.sleep(0.002)


@in_a_loop
async def test_a_thread_closes_its_connection_and_serves_the_next_request() -> None:
    async with request_thread():
        thread, raw = await sync_to_async(use_the_database)()
    await idle(1)
    assert raw.closed
    assert await next_request() is thread


async def next_request() -> threading.Thread:
    async with request_thread():
        return await sync_to_async(threading.current_thread)()


@in_a_loop
async def test_a_thread_is_given_back_at_the_end_of_its_request() -> None:
    first = await next_request()
    await idle(1)
    assert await next_request() is first


@in_a_loop
async def test_a_thread_that_is_still_busy_is_lent_to_nobody() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def be_busy() -> threading.Thread:
        begun.set()
        assert go_on.wait(30)
        return threading.current_thread()

    async with request_thread():
        call = asyncio.ensure_future(sync_to_async(be_busy)())
        await asyncio.to_thread(begun.wait, 30)
    another = await next_request()
    go_on.set()
    assert await call is not another
    await idle(2)


@in_a_loop
async def test_more_threads_than_are_kept_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_threads, "MOST_IDLE", 0)
    thread = await next_request()
    await asyncio.to_thread(thread.join, 30)
    assert (thread.is_alive(), request_threads._idle) == (False, [])


@in_a_loop
async def test_a_thread_that_leaves_its_request_has_closed_its_connection_and_is_given_back_once() -> None:
    async with request_thread() as lent:

        def leave() -> Any:
            _, raw = use_the_database()
            lent.leave()
            assert len(request_threads._idle) == 1
            return raw

        assert (await sync_to_async(leave)()).closed
        lent.give_back()
    await idle(1)
