"""What a request that waits gives back."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connection

from runs.api.waiting import give_back_thread

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """As a server runs it: `async_to_sync` would lend its own thread to everything within."""

    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def use_the_database() -> tuple[threading.Thread, Any]:
    """As a middleware does after the view: this thread, and the connection it has opened."""
    connection.ensure_connection()
    return threading.current_thread(), connection.connection


@in_a_loop
async def test_the_thread_ends_and_closes_its_connection_and_another_takes_its_place() -> None:
    async with ThreadSensitiveContext():
        thread, raw = await sync_to_async(use_the_database)()
        give_back_thread()
        await sync_to_async(thread.join, thread_sensitive=False)(30.0)
        assert (thread.is_alive(), raw.closed) == (False, True)
        another = await sync_to_async(threading.current_thread)()
    assert another is not thread


@in_a_loop
async def test_a_thread_that_whoever_called_django_has_lent_stays() -> None:
    with ThreadPoolExecutor(1) as lent:
        async with ThreadSensitiveContext(executor=lent):
            before = await sync_to_async(threading.current_thread)()
            give_back_thread()
            assert await sync_to_async(threading.current_thread)() is before


@in_a_loop
async def test_without_a_context_there_is_nothing_to_give_back() -> None:
    assert SyncToAsync.thread_sensitive_context.get(None) is None
    give_back_thread()
