"""Reading a run's stream: every retained frame once and in order, then live, or an explicit gap."""

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import redis
from asgiref.sync import sync_to_async
from django.db import Error as DatabaseError

from runs.streaming import archive, log, wakes
from runs.streaming.frames import Cursor, Frame, From, Gap, Place, before, follows
from runs.streaming.hub import Hub
from runs.streaming.watch import Watch

logger = logging.getLogger(__name__)

BATCH = 200
#: How long a terminal row may be without the end marker before its reader writes it.
MISSING_END_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0
#: How long Redis must have failed a reader before it is answered from what is kept, which is less.
AWAY_SECONDS = 1.0
#: How soon a reader looks again that waits for an end that is due, or whose Redis did not answer.
RETRY_SECONDS = 0.25


class Heartbeat:
    """Nothing has happened; the connection lives."""


Item = Frame | Gap | Heartbeat


@dataclass(slots=True)
class RunReader:
    """One pass over one run's stream."""

    hub: Hub
    run_id: UUID
    cursor: Cursor
    #: Just created: there is nothing that only the row tells, and the hub reads it soon.
    is_new: bool = False
    #: Watched from before it was created: there is nothing to read before the first wake.
    is_expected: bool = False
    _last: Place | None = field(init=False)
    #: The place from which this goes on is known to be one.
    _anchored: bool = field(init=False)
    _over_since: float | None = field(init=False, default=None)
    _away_since: float | None = field(init=False, default=None)
    _hurries: bool = field(init=False, default=False)
    #: Whether Redis may have more than it was asked for at once.
    _has_more: bool = field(init=False, default=False)
    _beat: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._last = self.cursor if isinstance(self.cursor, Place) else None
        self._anchored = self.cursor is From.START

    async def read(self) -> AsyncIterator[Item]:
        """Yield frames up to the end, a heartbeat every five seconds, or one gap and nothing after it."""
        async with self.hub.watch(self.run_id) as watch:
            async for item in self.follow(watch):
                yield item

    async def follow(self, watch: Watch) -> AsyncIterator[Item]:
        """The same, over a watch of the run that its caller has."""
        self._beat = time.monotonic() + HEARTBEAT_SECONDS
        if not self.is_new:
            await self._look(watch)
        while not self.hub.shutting_down:
            items = await self._next(watch)
            for item in items:
                yield item
                if isinstance(item, Gap) or (isinstance(item, Frame) and item.place.is_end):
                    return
            if self._beats():
                yield Heartbeat()
            if not self._has_more:
                while not await self._pause(watch):
                    yield Heartbeat()

    def _beats(self) -> bool:
        """Whether a heartbeat is due; asked once for each."""
        is_due = time.monotonic() >= self._beat
        self._beat += HEARTBEAT_SECONDS if is_due else 0.0
        return is_due

    async def _next(self, watch: Watch) -> list[Item]:
        """What can be given now; empty: wait."""
        if self.is_expected:
            self.is_expected = False
            return []
        if (announced := self._announced(watch)) is not None:
            return announced
        overdue = self._end_is_overdue(watch)
        try:
            items = await self._from_redis() or (await self._without_end(watch) if overdue else [])
        except (redis.RedisError, OSError) as error:
            logger.info("stream of run %s: Redis did not answer (%s)", self.run_id, error)
            self._hurries = True
            return await self._from_archive() if self._is_away() and overdue else []
        self._away_since = None
        return items

    def _announced(self, watch: Watch) -> list[Item] | None:
        """What has come with the wakes, if it is all that there is after what was given; None: look for it."""
        self._has_more = False
        carried = watch.take()
        if not carried:
            return None
        frames = wakes.frames_after(self._last, carried)
        if frames:
            self._last = frames[-1].place
        return None if frames is None else [*frames]

    def _is_away(self) -> bool:
        """Whether Redis has not answered for so long that it is more than one lost connection or a busy moment."""
        self._away_since = self._away_since or time.monotonic()
        return time.monotonic() - self._away_since >= AWAY_SECONDS

    async def _from_redis(self) -> list[Item]:
        if self.cursor is From.TAIL and not self._anchored:
            await self._find_tail()
        frames = await log.read_after(self.hub.client, self.run_id, self._last, BATCH)
        self._has_more = len(frames) == BATCH
        if not frames:
            return [] if self._anchored else await self._anchor()
        if self._last is None and frames[0].place.attempt and _ends_blindly(frames[0]):
            return await self._from_archive()  # as if it had expired
        return await self._in_order(frames)

    async def _find_tail(self) -> None:
        newest = await log.last(self.hub.client, self.run_id)
        if newest is not None:
            self._last = before(newest) if newest.place.is_end else newest.place
        self._anchored = True

    async def _anchor(self) -> list[Item]:
        """Nothing is after the cursor yet. What comes must be its successor, unless nothing can come there any more."""
        newest = await log.last(self.hub.client, self.run_id)
        if newest is None or self._last is None:
            return []
        if newest.place == self._last:
            self._anchored = True
            return [newest] if newest.place.is_end else []
        goes_on = newest.place.attempt == self._last.attempt and not newest.place.is_end
        return [] if goes_on else [await self._gap(None)]

    async def _in_order(self, frames: list[Frame]) -> list[Item]:
        given: list[Item] = []
        for frame in frames:
            if not await self._continues_with(frame, is_first=frame is frames[0]):
                return [*given, await self._gap(frame)]
            self._last, self._anchored = frame.place, True
            given.append(frame)
        return given

    async def _continues_with(self, frame: Frame, *, is_first: bool) -> bool:
        if self._last is None and self.cursor is From.TAIL:
            return True
        if not follows(self._last, frame):
            return False
        begins = is_first and self._last is not None and self._last.attempt > 0 and frame.place.number == 0
        if self._last is None or not (begins or _ends_blindly(frame)) or self._last == before(frame):
            return True
        return await log.holds(self.hub.client, self.run_id, self._last)

    async def _gap(self, next_one: Frame | None) -> Gap:
        """What is retained, and the place from which the reader goes on: with the next frame, or with the earliest."""
        earliest = await log.first(self.hub.client, self.run_id)
        latest = await log.last(self.hub.client, self.run_id)
        goes_on_with = next_one or earliest
        resume = before(goes_on_with) if goes_on_with else None
        return Gap(self._last, _place(earliest), _place(latest), resume)

    def _end_is_overdue(self, watch: Watch) -> bool:
        """Whether the row has been terminal, or gone, for so long that nothing can be on its way any more."""
        if not watch.looked or (watch.row is not None and not watch.row.is_terminal):
            return False
        self._over_since = self._over_since or time.monotonic()
        since = time.monotonic() - self._over_since
        return max(since, 0.0 if watch.row is None else archive.seconds_since_end(watch.row)) >= MISSING_END_SECONDS

    async def _without_end(self, watch: Watch) -> list[Item]:
        """Whoever meets a terminal row without an end writes it, or answers from what is kept."""
        row = watch.row
        if row is None or await log.last(self.hub.client, self.run_id) is None:
            return await self._from_archive()
        mark = sync_to_async(log.append_end, thread_sensitive=False)
        await mark(self.run_id, row.attempt, error=archive.stream_error(row), last=row.last_frame)
        return await self._from_redis() or await self._from_archive()

    async def _from_archive(self) -> list[Item]:
        after = sync_to_async(archive.after, thread_sensitive=False)
        try:
            return list(await after(self.run_id, self.cursor if self._last is None else self._last))
        except DatabaseError:
            logger.warning("what is kept of run %s could not be read", self.run_id, exc_info=True)
            return []

    async def _look(self, watch: Watch) -> None:
        """The row as it is now; with the database away the stream goes on without."""
        try:
            await self.hub.look([watch])
        except Exception:
            logger.warning("the row of run %s could not be read", self.run_id, exc_info=True)

    async def _pause(self, watch: Watch) -> bool:
        """Until the next wake, or until it is time to look again without one. False: only a heartbeat is due.

        The hub wakes a reader that is behind, if that has found its place and so knows what it waits for.
        """
        looks_soon = self._hurries or self._over_since is not None
        seconds = self._beat - time.monotonic()
        self._hurries = False
        watch.place, watch.waits_for_frames = self._last, self._anchored and not looks_soon
        woken = await watch.wait(min(seconds, RETRY_SECONDS) if looks_soon else seconds)
        return woken or not watch.waits_for_frames or not self._beats()


def _ends_blindly(frame: Frame) -> bool:
    """Whether this is an end whose writer could not know which frame was the last."""
    return frame.place.is_end and frame.payload.get("last") is None


def _place(frame: Frame | None) -> Place | None:
    return None if frame is None else frame.place
