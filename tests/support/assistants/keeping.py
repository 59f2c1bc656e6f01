"""Test assistants that keep something beyond their return, as caches and clients do. All write the ledger."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import redis.asyncio

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import ANSWER, FOR_EVER
from tests.support.ledger import note

_kept: list[Any] = []
_clients: dict[str, Any] = {}


async def _failing() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        raise ValueError("it was closed already")


async def _slow() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        await asyncio.sleep(FOR_EVER)


async def _keep(pages: AsyncIterator[int]) -> dict[str, int]:
    _kept.append(pages)
    await anext(pages)
    return ANSWER


@assistant
async def keeps_a_failing_generator(run: RunContext, input: Any) -> dict[str, int]:
    """It fails when it is closed."""
    note(run.id, run.attempt, "start")
    return await _keep(_failing())


@assistant
async def keeps_a_slow_generator(run: RunContext, input: Any) -> dict[str, int]:
    """It waits when it is closed."""
    note(run.id, run.attempt, "start")
    return await _keep(_slow())


def _start_threads(until: float) -> None:
    while time.monotonic() < until:
        threading.Thread(target=time.sleep, args=(0.001,)).start()


@assistant
async def starting_threads(run: RunContext, input: Any) -> dict[str, int]:
    """Its threads go on starting threads for a while."""
    note(run.id, run.attempt, "start")
    for _ in range(2):
        threading.Thread(target=_start_threads, args=(time.monotonic() + 2.0,)).start()
    return ANSWER


@assistant
async def asking_redis(run: RunContext, input: Any) -> dict[str, int]:
    """By a client that all attempts of the process share; the first opens its connection."""
    client = _clients.setdefault("redis", redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=4.0))
    return ANSWER if await client.ping() else {}


@assistant
async def asking_httpx(run: RunContext, input: Any) -> dict[str, int]:
    """By a client that all attempts of the process share, as those of model providers are."""
    client = _clients.setdefault("httpx", httpx.AsyncClient(timeout=4.0))
    return ANSWER if (await client.get(input["url"])).is_success else {}
