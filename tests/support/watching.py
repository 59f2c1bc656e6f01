"""Watches of runs at work, and what Redis says of who listens."""

import asyncio
from collections import deque
from typing import Any, cast
from uuid import UUID

import redis

from runs.streaming import log
from runs.streaming.connection import redis_url, writer
from runs.streaming.watch import Watch
from tests.support.ledger import wait_until
from tests.support.reading import Loop


def numsub(channel: str) -> int:
    """How many processes are subscribed to the channel."""
    [(_, count)] = writer().pubsub_numsub(channel)
    return int(count)


def watchers(run_id: UUID) -> int:
    """How many processes are subscribed for this run."""
    [(_, count)] = writer().pubsub_numsub(log.channel(run_id))
    return int(count)


def subscriptions() -> list[Any]:
    """The connections on which somebody listens to runs."""
    clients: Any = writer().client_list(_type="pubsub")
    return [client for client in clients if int(client["sub"]) > 1]


class Eavesdropper:
    """Hears what is published on the channels of this pattern."""

    def __init__(self, pattern: str) -> None:
        before = _patterns()
        self._client = redis.Redis.from_url(redis_url(), decode_responses=True)
        self._pubsub = cast(Any, self._client).pubsub(ignore_subscribe_messages=True)
        self._pubsub.psubscribe(pattern)
        wait_until(lambda: _patterns() > before, "the subscription")
        self._heard: deque[str] = deque()

    def next(self) -> str:
        """What comes next."""
        wait_until(self._hears, "something to be published")
        return self._heard.popleft()

    def _hears(self) -> bool:
        if message := self._pubsub.get_message():
            self._heard.append(message["data"])
        return bool(self._heard)

    def close(self) -> None:
        """Hear no more."""
        self._pubsub.close()
        self._client.close()


def _patterns() -> int:
    return int(str(writer().pubsub_numpat()))


class Watcher:
    """Watches a run until it is told to leave."""

    def __init__(self, loop: Loop, run_id: UUID) -> None:
        self._loop = loop
        self.watch: Watch | None = None
        self.task = loop.start(self._watch(run_id))

    async def _watch(self, run_id: UUID) -> None:
        async with self._loop.hub.watch(run_id) as self.watch:
            await asyncio.sleep(3600)

    def ready(self) -> "Watcher":
        """Return when the block has begun."""
        wait_until(lambda: self.watch, "the watch to begin")
        return self

    def leave(self) -> None:
        """Leave the block as a client does that goes away."""
        self.task.cancel()

    def woken(self) -> bool:
        """Whether something has happened since the last time."""
        assert self.watch is not None
        return self._loop.run(self.watch.wait(5.0))
