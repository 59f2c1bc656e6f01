"""A key in the Redis that is the broker: when it is gone, the broker was emptied, and every message with it."""

import logging
import time
from collections.abc import Callable

import redis
from celery import current_app
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

KEY = "runyard:sentinel"
TIMEOUT_SECONDS = 0.5
PAUSE_SECONDS = 5.0


class Sentinel:
    """Tells that the broker was emptied, or could not be reached for a while, until it is reset. A hint: without it,
    waiting runs are published again when their dispatch has grown old."""

    def __init__(self) -> None:
        self._asked_again_at = 0.0
        self._was_away = False

    def broker_may_have_lost_messages(self) -> bool:
        """Whether the key is missing, or this is the first answer after a failure; False without an answer."""
        if time.monotonic() < self._asked_again_at:
            return False
        there = self._ask(lambda client: bool(client.exists(KEY)))
        return there is not None and (self._was_away or not there)

    def reset(self) -> None:
        """Whatever was lost will be published again: put the key back."""
        if self._ask(lambda client: bool(client.set(KEY, "1"))):
            self._was_away = False

    def _ask(self, question: Callable[[redis.Redis], bool]) -> bool | None:
        url = current_app.conf.broker_url or ""
        if not url.startswith(("redis", "valkey")):
            return None
        try:
            with self._connect(url) as client:
                return question(client)
        except (redis.RedisError, ValueError) as error:  # ValueError: an address that only kombu understands
            self._asked_again_at = time.monotonic() + PAUSE_SECONDS
            self._was_away = True
            logger.info("the broker cannot be asked whether it was emptied: %s", error)
            return None

    def _connect(self, url: str) -> redis.Redis:
        return redis.Redis.from_url(
            url.replace("valkey", "redis", 1),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
