"""One subscription a web process, whatever the number of its readers: wakes those whose run something has happened to.

A wake says "look again" and why, or carries what there is to see; it may be lost, doubled or late. So after every
reconnection everybody looks again, the rows of all watched runs are read together every second, and Redis is asked of
all streams together which go on.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
import weakref
from collections.abc import Collection, Coroutine, Sequence
from typing import Any
from uuid import UUID

import redis
from asgiref.sync import sync_to_async

from runs.streaming import log, rows, wakes
from runs.streaming.connection import listener, reader
from runs.streaming.shutdown import heed_shutdown
from runs.streaming.subscription import Subscription
from runs.streaming.watch import Watch

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
RECONNECT_SECONDS = 0.25
#: A reader that has missed a wake is behind for no longer than this, which is less than a heartbeat.
CATCH_UP_SECONDS = 4.5
#: Of how many streams Redis is asked at once.
CATCH_UP_BATCH = 200
SUBSCRIBE_SECONDS = 1.0
#: How long a channel that nobody watches any more is still subscribed: far shorter than anybody's grace.
UNSUBSCRIBE_SECONDS = 0.05
#: A subscription on which nothing was heard for this long, though it was pinged, is dead.
SILENCE_SECONDS = 10.0


class Hub:
    """The watches of one event loop, the connection they share, and the tasks that serve them."""

    def __init__(self) -> None:
        self.client = reader()
        self.shutting_down = False
        self._watches: dict[str, set[Watch]] = {}
        self._subscribed: dict[str, asyncio.Event] = {}
        self._subscription: Subscription | None = None
        #: Whose last watch has ended, and which are unsubscribed together.
        self._ended: set[str] = set()
        self._is_serving = False
        #: When the connection was lost last, by the monotonic clock.
        self.lost_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self._heed_shutdown()

    async def close(self) -> None:
        """End its tasks and connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.aclose()

    def watch(self, run_id: UUID) -> "Watching":
        """Watch a run. Subscribed when the block begins (if Redis answers): what is read now misses nothing."""
        return Watching(self, Watch.of_run(run_id))

    def watch_thread(self, thread_id: UUID) -> "Watching":
        """Watch for attempts that begin on the thread."""
        return Watching(self, Watch(log.thread_channel(thread_id), thread_id=thread_id))

    async def begin_watch(self, watch: Watch) -> None:
        """Wake it from now on; returns when it is subscribed."""
        self._add(watch)
        try:
            with contextlib.suppress(TimeoutError):  # Redis is away; the reconnection will wake everybody
                async with asyncio.timeout(SUBSCRIBE_SECONDS):
                    await self._subscribe(watch.channel).wait()
        except BaseException:
            self.end_watch(watch)
            raise
        watch.forget_wakes()

    def expect(self, run_id: UUID) -> Watch:
        """Begin to watch a run before it exists, until `end_watch`. Whether that is in time, `is_subscribed` says."""
        watch = Watch.of_run(run_id)
        self._add(watch)
        self._subscribe(watch.channel)
        return watch

    def is_subscribed(self, channel: str) -> bool:
        """Whether all that is announced from now on will be heard, or else everybody woken. From any thread."""
        return self._subscription is not None and self._subscribed.get(channel) is _SUBSCRIBED

    def _add(self, watch: Watch) -> None:
        if not self._is_serving:
            self._is_serving = True
            self.begin(self._listen())
            self.begin(self._look())
            self.begin(self._catch_up())
        self._watches.setdefault(watch.channel, set()).add(watch)

    def end_watch(self, watch: Watch) -> None:
        """Wake it no more."""
        watches = self._watches[watch.channel]
        watches.discard(watch)
        if not watches:
            self._unsubscribe(watch.channel)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside everything else, outliving the request that asks for it; the loop keeps no task alive."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def watches(self, run_id: UUID) -> bool:
        """Whether anybody watches the run through this process."""
        return bool(self._watches.get(log.channel(run_id)))

    def _subscribe(self, channel: str) -> asyncio.Event:
        """What is set as soon as everything on the channel is heard."""
        ready = self._subscribed.get(channel)
        if ready is None:
            ready = self._subscribed[channel] = asyncio.Event()
            self._send("subscribe", channel)
        self._ended.discard(channel)
        return ready

    def _unsubscribe(self, channel: str) -> None:
        """Soon: what is heard until then is nobody's, and who begins to watch it again need not wait."""
        del self._watches[channel]
        if self._subscription is None:
            self._subscribed.pop(channel, None)
            return
        if not self._ended:
            asyncio.get_running_loop().call_later(UNSUBSCRIBE_SECONDS, self._unsubscribe_ended)
        self._ended.add(channel)

    def _unsubscribe_ended(self) -> None:
        ended, self._ended = self._ended, set()
        for channel in ended:
            self._subscribed.pop(channel, None)
        if ended:
            self._send("unsubscribe", *ended)

    def _send(self, command: str, *channels: str) -> None:
        """Without a connection nothing: the listener subscribes to everything when it has one."""
        if self._subscription is None:
            return
        try:
            getattr(self._subscription, command)(*channels)
        except (OSError, RuntimeError):
            logger.debug("%s was not sent; the listener is reconnecting", command, exc_info=True)

    async def _listen(self) -> None:
        while True:
            client = listener()
            try:
                await self._listen_once(client)
            except Exception as error:  # whatever it is, a process that listens no more would not wake anybody
                logger.warning("streams lost their Redis subscription (%s); reconnecting", error)
            finally:
                self._subscription, self.lost_at = None, time.monotonic()
                self._unsubscribe_ended()
                with contextlib.suppress(redis.RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self, client: Any) -> None:
        subscription = await Subscription.over(client)
        subscription.subscribe(_KEEPALIVE, *self._watches)
        self._subscription = subscription
        self._wake_all()
        self.begin(self._look_once())
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(SILENCE_SECONDS) as limit:
                while True:
                    self._heed(*await subscription.next())
                    limit.reschedule(now() + SILENCE_SECONDS)
        except TimeoutError:
            raise redis.ConnectionError(f"nothing was heard for {SILENCE_SECONDS:g} s") from None

    def _heed(self, kind: str, channel: str, said: Any = "") -> None:
        if kind == "subscribe" and channel in self._subscribed:
            self._subscribed[channel].set()
            self._subscribed[channel] = _SUBSCRIBED
        word, carried = wakes.parted(said) if kind == "message" else ("", "")
        for watch in self._watches.get(channel, ()):
            watch.wake(word, carried)

    def _all(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]

    def _wake_all(self) -> None:
        for watch in self._all():
            watch.wake()

    async def _look(self) -> None:
        """Look at the rows of all watched runs in one statement, whatever wakes were lost."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            self._send("ping")
            await self._look_once()

    async def _catch_up(self) -> None:
        """Wake who waits for frames that are there, whatever wakes were lost. Unanswered: everybody asks again."""
        while True:
            await asyncio.sleep(CATCH_UP_SECONDS)
            waiting = [watch for watch in self._all() if watch.run_id is not None and watch.waits_for_frames]
            for first in range(0, len(waiting), CATCH_UP_BATCH):
                await self._wake_who_is_behind(waiting[first : first + CATCH_UP_BATCH])

    async def _wake_who_is_behind(self, watches: Sequence[Watch]) -> None:
        places = [(watch.run_id, watch.place) for watch in watches if watch.run_id is not None]
        try:
            go_on = await log.go_on(self.client, places)
        except Exception as error:  # whatever it is, a process that asks no more would lose what is not announced
            logger.info("Redis did not say which streams go on (%s); their readers ask themselves", error)
            go_on = [True] * len(watches)
        for watch, goes_on in zip(watches, go_on, strict=True):
            if goes_on:
                watch.wake(log.FRAMES)

    async def _look_once(self) -> None:
        watches = self._all()
        try:
            await self.look([watch for watch in watches if watch.run_id is not None])
            await self._look_at_threads([watch for watch in watches if watch.thread_id is not None])
        except Exception:
            logger.warning("the rows of watched runs could not be read", exc_info=True)

    async def look(self, watches: Collection[Watch]) -> None:
        """Read the rows of these watches of runs now and show them."""
        run_ids = {watch.run_id for watch in watches if watch.run_id is not None}
        found = await asyncio.to_thread(rows.read, run_ids) if run_ids else {}  # asgiref leaves half a KiB
        for watch in watches:
            if watch.run_id is not None:
                watch.show(found.get(watch.run_id))

    async def _look_at_threads(self, watches: Collection[Watch]) -> None:
        thread_ids = {watch.thread_id for watch in watches if watch.thread_id is not None}
        found = await sync_to_async(rows.last_beginnings, thread_sensitive=False)(thread_ids) if thread_ids else {}
        for watch in watches:
            if watch.thread_id is not None:
                watch.show_beginning(found.get(watch.thread_id))

    def _heed_shutdown(self) -> None:
        """A server that shuts down ends its streams, so that clients go on elsewhere, and disconnects nobody."""
        heed_shutdown(asyncio.get_running_loop(), self._shut_down)

    def _shut_down(self) -> None:
        self.shutting_down = True
        self._wake_all()


class Watching:
    """The watch of a block. A generator would cost half a KiB more, and there are thousands."""

    __slots__ = ("_hub", "_watch")

    def __init__(self, hub: Hub, watch: Watch) -> None:
        self._hub, self._watch = hub, watch

    async def __aenter__(self) -> Watch:
        await self._hub.begin_watch(self._watch)
        return self._watch

    async def __aexit__(self, *_: object) -> None:
        self._hub.end_watch(self._watch)


_KEEPALIVE = "runyard:hub"
#: For all channels whose subscription is confirmed.
_SUBSCRIBED = asyncio.Event()
_SUBSCRIBED.set()
_hubs: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
