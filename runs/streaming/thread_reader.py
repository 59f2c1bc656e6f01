"""Reading the streams of all runs of a thread, one after the other in the order in which they began."""

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from runs.streaming import rows
from runs.streaming.frames import Cursor, Frame, From, Gap, Place, parse_cursor
from runs.streaming.hub import Hub
from runs.streaming.reader import HEARTBEAT_SECONDS, Heartbeat, Item, RunReader
from runs.streaming.rows import Begun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ThreadCursor:
    """A run of the thread, and where in its stream; no cursor: only what begins after it. No run: from the first."""

    run: Begun | None = None
    cursor: Cursor | None = None
    #: The run that was named is none of the thread's, or not any more: nobody knows what came after it.
    is_lost: bool = False


def find_start(thread_id: UUID, text: str | None, *, owner: Any) -> ThreadCursor:
    """Return where a `Last-Event-ID` points, written `<run id>/<attempt>-<number>`.

    What cannot be read means: from what executes now on. "0" and "-1" mean the first run that there is.
    """
    run_text, separator, place = (text or "").partition("/")
    if separator:
        try:
            return _find(thread_id, owner, UUID(run_text), parse_cursor(place))
        except ValueError:
            pass
    elif text is not None and parse_cursor(text) is From.START:
        return ThreadCursor()
    latest, is_over = rows.latest_begun(thread_id, owner)
    return ThreadCursor(latest, None if is_over else From.START)


def _find(thread_id: UUID, owner: Any, run_id: UUID, cursor: Cursor) -> ThreadCursor:
    run = rows.begun(thread_id, owner, run_id)
    if run is not None:
        has_ended = isinstance(cursor, Place) and cursor.is_end
        return ThreadCursor(run, None if has_ended else cursor)
    first = rows.begun_after(thread_id, owner, None)
    return ThreadCursor(first, From.START, is_lost=first is not None)


@dataclass
class ThreadReader:
    """One pass over a thread's stream."""

    hub: Hub
    thread_id: UUID
    start: ThreadCursor
    #: Whose runs are shown; None: everybody's.
    owner: Any

    async def read(self) -> AsyncIterator[tuple[UUID | None, Item]]:
        """Yield (run, item); a heartbeat belongs to no run. Ends after a gap, with the thread or the server."""
        if self.start.run is not None and self.start.is_lost:
            yield self.start.run.run_id, Gap(None, None, None, None)
            return
        async for turn in self._turns():
            if turn is None:
                yield None, Heartbeat()
                continue
            run, cursor = turn
            async for item in RunReader(self.hub, run.run_id, cursor).read():
                yield run.run_id, item
                if isinstance(item, Gap):
                    return

    async def _turns(self) -> AsyncIterator[tuple[Begun, Cursor] | None]:
        """Yield whose stream is next and from where, and None as a heartbeat."""
        run = self.start.run
        if run is not None and self.start.cursor is not None:
            yield run, self.start.cursor
        while True:
            following: Begun | None = None
            async for following in self._wait_for_next(run):
                if following is None:
                    yield None
            if following is None:
                return
            run = following
            yield run, From.START

    async def _wait_for_next(self, run: Begun | None) -> AsyncIterator[Begun | None]:
        """Yield None as a heartbeat until there is a next run; then yield that, and no more. Ends with the thread."""
        beat = time.monotonic() + HEARTBEAT_SECONDS
        async with self.hub.watch_thread(self.thread_id) as watch:
            while not self.hub.shutting_down:
                if (found := await self._next(run)) is not None:
                    yield found
                    return
                await watch.wait(beat - time.monotonic())
                if time.monotonic() >= beat:
                    beat += HEARTBEAT_SECONDS
                    if await self._is_over():
                        return
                    yield None

    async def _next(self, run: Begun | None) -> Begun | None:
        try:
            return await sync_to_async(rows.begun_after, thread_sensitive=False)(self.thread_id, self.owner, run)
        except Exception:
            logger.warning("the runs of thread %s could not be read", self.thread_id, exc_info=True)
            return None

    async def _is_over(self) -> bool:
        try:
            return not await sync_to_async(rows.is_visible, thread_sensitive=False)(self.thread_id, self.owner)
        except Exception:
            logger.warning("thread %s could not be read", self.thread_id, exc_info=True)
            return False


def is_end(item: Item) -> bool:
    """Whether the item ends the stream of its run."""
    return isinstance(item, Frame) and item.place.is_end
