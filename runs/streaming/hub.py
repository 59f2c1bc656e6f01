"""One subscription a web process, whatever the number of its readers: wakes those whose run something has happened to.

A wake says nothing but "look again"; it may be lost, doubled or late. So after every reconnection everybody looks
again, and the rows of all watched runs are read together every few seconds.
"""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import redis
from asgiref.sync import sync_to_async

from runs.streaming import log, rows
from runs.streaming.connection import listener, reader
from runs.streaming.rows import RunRow

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 2.0
RECONNECT_SECONDS = 0.25
SUBSCRIBE_SECONDS = 1.0


@dataclass(eq=False)
class Watch:
    """One reader's eye on one run."""

    run_id: UUID
    #: The row as last seen; None: not seen yet, or gone.
    row: RunRow | None = None
    #: Whether the rows have been read since the watch began.
    looked: bool = False
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until something may have happened; False if nothing did for this long."""
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._woken.wait()
        except TimeoutError:
            return False
        finally:
            self._woken.clear()
        return True


class Hub:
    """The watches of one event loop, the connection they share, and the two tasks that serve them."""

    def __init__(self) -> None:
        self.client = reader()
        self._watches: dict[UUID, set[Watch]] = {}
        self._subscribed: dict[UUID, asyncio.Event] = {}
        self._pubsub: Any = None
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def watch(self, run_id: UUID) -> AsyncIterator[Watch]:
        """Watch a run. Subscribed when the block begins (if Redis answers): what is read now misses nothing."""
        self._ensure_tasks()
        watch = Watch(run_id)
        self._watches.setdefault(run_id, set()).add(watch)
        try:
            await self._subscribe(run_id)
            yield watch
        finally:
            self._watches[run_id].discard(watch)
            if not self._watches[run_id]:
                await self._unsubscribe(run_id)

    def watchers(self, run_id: UUID) -> int:
        """How many readers of this process watch the run."""
        return len(self._watches.get(run_id, ()))

    async def _subscribe(self, run_id: UUID) -> None:
        ready = self._subscribed.get(run_id)
        if ready is None:
            ready = self._subscribed[run_id] = asyncio.Event()
            await self._send("subscribe", run_id)
        with contextlib.suppress(TimeoutError):  # Redis is away; the reconnection will wake everybody
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await ready.wait()

    async def _unsubscribe(self, run_id: UUID) -> None:
        del self._watches[run_id]
        self._subscribed.pop(run_id, None)
        await self._send("unsubscribe", run_id)

    async def _send(self, command: str, run_id: UUID) -> None:
        if self._pubsub is None:
            return  # the listener subscribes to everything when it has connected
        try:
            await getattr(self._pubsub, command)(log.channel(run_id))
        except (redis.RedisError, OSError, RuntimeError):
            logger.debug("%s was not sent; the listener is reconnecting", command, exc_info=True)

    def _ensure_tasks(self) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look())]

    async def _listen(self) -> None:
        while True:
            client = listener()
            try:
                await self._listen_once(client)
            except (redis.RedisError, OSError) as error:
                logger.warning("streams lost their Redis subscription (%s); reconnecting", error)
            finally:
                self._pubsub = None
                with contextlib.suppress(redis.RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self, client: Any) -> None:
        async with client.pubsub() as pubsub:
            channels = [log.channel(run_id) for run_id in self._watches] or [_KEEPALIVE]
            await pubsub.subscribe(*channels)
            self._pubsub = pubsub
            self._wake_all()
            async for message in pubsub.listen():
                self._heed(message)

    def _heed(self, message: dict[str, Any]) -> None:
        run_id = _run_id(message["channel"])
        if run_id is None:
            return
        if message["type"] == "subscribe" and run_id in self._subscribed:
            self._subscribed[run_id].set()
        for watch in self._watches.get(run_id, ()):
            watch.wake()

    def _wake_all(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()

    async def _look(self) -> None:
        """Look at the rows of all watched runs in one statement; a terminal one without an end gets it."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                await self.look(list(self._watches))
            except Exception:
                logger.warning("the rows of watched runs could not be read", exc_info=True)

    async def look(self, run_ids: Sequence[UUID]) -> None:
        """Read these rows now and show them to their watches."""
        if not run_ids:
            return
        found = await sync_to_async(rows.read, thread_sensitive=False)(run_ids)
        for run_id in run_ids:
            for watch in self._watches.get(run_id, ()):
                changed = (not watch.looked) or watch.row != found.get(run_id)
                watch.row, watch.looked = found.get(run_id), True
                if changed or watch.row is None or watch.row.is_terminal:
                    watch.wake()


_KEEPALIVE = "runyard:hub"
_hubs: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def _run_id(channel: str) -> UUID | None:
    prefix, _, text = channel.rpartition(":")
    return UUID(text) if prefix == "runyard:run" else None
