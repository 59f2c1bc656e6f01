"""What a web process needs to serve: asked in bounded time, answered in a word each, without addresses or secrets."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import redis
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis.backoff import NoBackoff
from redis.retry import Retry

from runs.streaming.connection import redis_url

logger = logging.getLogger(__name__)

#: How long one part may take to answer; beyond it counts as down.
PATIENCE_SECONDS = 2.0
UP, DOWN, UNAPPLIED = "up", "down", "unapplied"
_applied = threading.Event()


class Probe:
    """One question, asked by a thread of its own. While one is still out the next callers wait for the same answer,
    so that a part which never answers costs one thread and not one for each probe."""

    def __init__(self, question: Callable[[], str]) -> None:
        self._question = question
        self._lock = threading.Lock()
        self._asked: Future[str] | None = None

    def ask(self) -> "Future[str]":
        """The answer to come."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                name = f"runs-health-{self._question.__name__}"
                threading.Thread(target=self._answer, args=(self._asked,), name=name, daemon=True).start()
            return self._asked

    def _answer(self, asked: "Future[str]") -> None:
        try:
            asked.set_result(self._question())
        except Exception as error:
            logger.warning("not ready: %s: %s", self._question.__name__, type(error).__name__, exc_info=True)
            asked.set_result(DOWN)


def database() -> str:
    """Whether a request would get a connection, and an answer over it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
    return UP


def migrations() -> str:
    """Whether the database has seen all migrations of this code: up or unapplied. What was applied stays applied."""
    if not _applied.is_set():
        try:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        finally:
            connection.close()
        if plan:
            return UNAPPLIED
        _applied.set()
    return UP


def redis_server() -> str:
    """Whether the Redis of the live streams answers."""
    options = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    with redis.Redis.from_url(redis_url(), retry=Retry(NoBackoff(), 0), **options) as client:
        client.ping()
    return UP


_PROBES = {"database": Probe(database), "migrations": Probe(migrations), "redis": Probe(redis_server)}


def check() -> dict[str, str]:
    """Ask all parts at once: {"database": "up", "migrations": "up" or "unapplied", "redis": "down"}."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    asked = {name: probe.ask() for name, probe in _PROBES.items()}
    return {name: _within(answer, deadline) for name, answer in asked.items()}


def _within(answer: "Future[str]", deadline: float) -> str:
    try:
        return answer.result(max(deadline - time.monotonic(), 0))
    except TimeoutError:
        return DOWN
