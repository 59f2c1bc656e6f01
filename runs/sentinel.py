"""A key in the Redis that is the broker: when it is gone, the broker was emptied, and every message with it."""

import logging
import time

import redis
from celery import current_app
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

KEY = "runyard:sentinel"
TIMEOUT_SECONDS = 0.5
PAUSE_SECONDS = 5.0


class Sentinel:
    """Tells, at most once for each emptying, that the broker was emptied. A hint: without it, waiting runs are
    published again when their dispatch has grown old."""

    def __init__(self) -> None:
        self._asked_again_at = 0.0

    def broker_was_emptied(self) -> bool:
        """Put the key back if it is missing and say whether it was; False while the broker cannot be asked."""
        url = current_app.conf.broker_url or ""
        if not url.startswith(("redis", "valkey")) or time.monotonic() < self._asked_again_at:
            return False
        try:
            with self._connect(url) as client:
                return bool(client.set(KEY, "1", nx=True))
        except redis.RedisError as error:
            self._asked_again_at = time.monotonic() + PAUSE_SECONDS
            logger.info("the broker cannot be asked whether it was emptied: %s", error)
            return False

    def _connect(self, url: str) -> redis.Redis:
        return redis.Redis.from_url(
            url.replace("valkey", "redis", 1),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
