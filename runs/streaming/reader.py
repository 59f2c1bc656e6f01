"""Reading a run's stream: every retained frame once and in order, then live, or an explicit gap."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import redis
from asgiref.sync import sync_to_async

from runs.streaming import archive, log
from runs.streaming.frames import Cursor, Frame, From, Gap, Place, before, follows
from runs.streaming.hub import Hub, Watch

logger = logging.getLogger(__name__)

BATCH = 200
#: How long a terminal row may be without the end marker before its reader writes it.
MISSING_END_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0


class Heartbeat:
    """Nothing has happened; the connection lives."""


Item = Frame | Gap | Heartbeat


@dataclass
class RunReader:
    """One pass over one run's stream."""

    hub: Hub
    run_id: UUID
    cursor: Cursor

    def __post_init__(self) -> None:
        self._last: Place | None = self.cursor if isinstance(self.cursor, Place) else None
        self._checked = False
        self._terminal_since: float | None = None

    async def read(self) -> AsyncIterator[Item]:
        """Yield frames up to the end, a heartbeat every five seconds, or one gap and nothing after it."""
        beat = time.monotonic() + HEARTBEAT_SECONDS
        async with self.hub.watch(self.run_id) as watch:
            await self._look(watch)
            while not self.hub.shutting_down:
                for item in await self._next(watch):
                    yield item
                    if isinstance(item, Gap) or (isinstance(item, Frame) and item.place.is_end):
                        return
                if time.monotonic() >= beat:
                    beat += HEARTBEAT_SECONDS
                    yield Heartbeat()
                await self._pause(watch, beat)

    async def _next(self, watch: Watch) -> list[Item]:
        """What can be given now; empty: wait."""
        try:
            items = await self._from_redis(watch)
        except (redis.RedisError, OSError) as error:
            logger.info("stream of run %s: Redis did not answer (%s)", self.run_id, error)
            items = []
            return await self._from_archive(watch) if self._is_over(watch) else items
        return items or await self._missing_end(watch)

    async def _from_redis(self, watch: Watch) -> list[Item]:
        await self._resolve_tail()
        frames = await log.read_after(self.hub.client, self.run_id, self._last, BATCH)
        if not self._checked:
            return await self._first_read(frames)
        return self._in_order(frames) or []

    async def _first_read(self, frames: list[Frame]) -> list[Item]:
        """A cursor is continuous if its own frame is retained or the next one is its successor."""
        if self._last is None or (frames and follows(self._last, frames[0])):
            self._checked = bool(frames)
            return self._in_order(frames)
        if await log.holds(self.hub.client, self.run_id, self._last):
            self._checked = True
            if self._last.is_end:
                return [Frame(self._last, "end", '{"error": null, "last": null}')]
            return self._in_order(frames)
        if not frames and await log.first(self.hub.client, self.run_id) is None:
            return []  # nothing is there: the row will tell whether anything will come
        return [await self._gap(frames[0] if frames else None)]

    async def _resolve_tail(self) -> None:
        if self.cursor is not From.TAIL or self._checked:
            return
        newest = await log.last(self.hub.client, self.run_id)
        if newest is not None and newest.place.is_end:
            self._last = before(newest) if newest.place.number else None
        elif newest is not None:
            self._last = newest.place
        self._checked = True

    def _in_order(self, frames: list[Frame]) -> list[Item]:
        given: list[Item] = []
        for frame in frames:
            if not self._may_follow(frame):
                return [*given, Gap(self._last, frames[0].place, frames[-1].place, before(frame))]
            self._last = frame.place
            given.append(frame)
        return given

    def _may_follow(self, frame: Frame) -> bool:
        if self.cursor is From.TAIL and (self._last is None or frame.place.is_end):
            return True
        return follows(self._last, frame)

    async def _gap(self, frame: Frame | None) -> Gap:
        earliest = await log.first(self.hub.client, self.run_id)
        latest = await log.last(self.hub.client, self.run_id)
        resume = before(frame or earliest) if frame or earliest else None  # type: ignore[arg-type]
        return Gap(self._last, _place(earliest), _place(latest), resume)

    def _is_over(self, watch: Watch) -> bool:
        return watch.looked and (watch.row is None or watch.row.is_terminal)

    async def _missing_end(self, watch: Watch) -> list[Item]:
        """Whoever meets a terminal row without an end for a second writes it, or answers from what is kept."""
        if not self._is_over(watch):
            self._terminal_since = None
            return []
        now = time.monotonic()
        self._terminal_since = self._terminal_since or now
        if not await self._is_overdue(watch, now):
            return []
        if watch.row is None or await log.last(self.hub.client, self.run_id) is None:
            return await self._from_archive(watch)
        await sync_to_async(log.append_end, thread_sensitive=False)(
            self.run_id, watch.row.attempt, error=archive.stream_error(watch.row)
        )
        return await self._from_redis(watch)

    async def _is_overdue(self, watch: Watch, now: float) -> bool:
        """A stream that has expired needs no second; one that is being written may get its end at any moment."""
        if self._terminal_since is not None and now - self._terminal_since >= MISSING_END_SECONDS:
            return True
        return watch.row is not None and archive.ended_long_ago(watch.row)

    async def _from_archive(self, watch: Watch) -> list[Item]:
        frames = await sync_to_async(archive.frames, thread_sensitive=False)(self.run_id)
        if self._last is None:
            return list(frames)
        if self._last.is_end:
            return [frame for frame in frames if frame.place.is_end]
        return [Gap(self._last, None, None, frames[-2].place if len(frames) > 1 else None)]

    async def _look(self, watch: Watch) -> None:
        """The row as it is now; with the database away the stream goes on without."""
        try:
            await self.hub.look([watch])
        except Exception:
            logger.warning("the row of run %s could not be read", self.run_id, exc_info=True)

    async def _pause(self, watch: Watch, beat: float) -> None:
        """Until the next wake or heartbeat; with an end overdue, until it may be written."""
        now = time.monotonic()
        until = beat if self._terminal_since is None else min(beat, self._terminal_since + MISSING_END_SECONDS)
        if until <= now:
            await asyncio.sleep(0)
            return
        await watch.wait(until - now)


def _place(frame: Frame | None) -> Place | None:
    return None if frame is None else frame.place
