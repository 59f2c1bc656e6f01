"""Connections to Redis. What writes is bounded in time, for it is a hint. What listens waits for ever."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from runs.redis_lines import Command, Lines

logger = logging.getLogger(__name__)

T = TypeVar("T")
TIMEOUT_SECONDS = 1.0
CONNECT_SECONDS = 0.25
#: How long a request that has committed waits for its wake; with RUNS["PUBLISH_TIMEOUT_SECONDS"] at most 0.3 s.
HINT_SECONDS = 0.1
#: How many of those that write are kept.
CONNECTIONS = 10
READ_SECONDS = 5.0
READ_CONNECTIONS = 16
BREAK_SECONDS = 2.0


@lru_cache(maxsize=1)
def writer() -> redis.Redis:
    """How this process connects for an executor's frames."""
    return _bounded(TIMEOUT_SECONDS, CONNECT_SECONDS)


@lru_cache(maxsize=1)
def hinter() -> redis.Redis:
    """How this process connects for wakes and end markers, which are sent while a request waits."""
    return _bounded(HINT_SECONDS, HINT_SECONDS)


def hint(*commands: Command, wait: bool = True) -> None:
    """Send wakes and end markers, in order, or raise.

    `wait` False: nobody waits for the answer, and if it is an error, the next hint of this process fails instead.
    """
    _send(hinter().connection_pool, commands, wait=wait)


def write(command: Command) -> Any:
    """Have an executor's frames written; the answer."""
    [answer] = _send(writer().connection_pool, [command])
    return answer


def _send(pool: redis.ConnectionPool, commands: Sequence[Command], *, wait: bool = True) -> list[Any]:
    lines = _lines(pool)
    answers = lines.send(commands, wait=wait)
    return lines.send_over_another(pool, commands, wait=wait) if answers is None else answers


@lru_cache(maxsize=2)
def _lines(pool: redis.ConnectionPool) -> Lines:
    return Lines(CONNECTIONS)


def _bounded(seconds: float, to_connect: float) -> redis.Redis:
    return redis.Redis.from_url(
        redis_url(),
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=to_connect,
        retry=Retry(NoBackoff(), 0),
    )


def reader() -> "redis.asyncio.Redis":
    """For reading ranges from the event loop that makes it. Who finds every connection in use waits for one."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        redis_url(),
        decode_responses=True,
        socket_timeout=READ_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
        max_connections=READ_CONNECTIONS,
        timeout=None,  # a crowd is no outage; whoever has a connection gives it back in bounded time
    )
    return redis.asyncio.Redis.from_pool(pool)


def listener() -> "redis.asyncio.Redis":
    """The one connection on which a process listens. No socket timeout: redis-py's default would cut it every 5 s."""
    return redis.asyncio.Redis.from_url(
        redis_url(),
        decode_responses=True,
        protocol=2,  # RESP3 marks what was published, and redis-py takes longer to read that
        socket_timeout=None,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
    )


def redis_url() -> str:
    """The Redis of the live streams."""
    url: str = settings.REDIS_URL
    return url.replace("valkey", "redis", 1) if url.startswith("valkey") else url


class Breaker:
    """After a failure nothing is tried for a moment: a Redis that is away must not slow every commit down."""

    def __init__(self) -> None:
        self._closed_at = 0.0

    def call(self, what: str, action: Callable[[], T]) -> T | None:
        """Do it, or return None if that failed or is not even tried."""
        if time.monotonic() < self._closed_at:
            return None
        try:
            return action()
        except redis.RedisError as error:
            self._closed_at = time.monotonic() + BREAK_SECONDS
            logger.warning("%s: Redis did not answer (%s); readers learn it from the row", what, error)
            return None


os.register_at_fork(after_in_child=writer.cache_clear)
os.register_at_fork(after_in_child=hinter.cache_clear)
os.register_at_fork(after_in_child=_lines.cache_clear)
