"""Reading the streams of all runs of a thread, one after the other in the order in which they began. Never ends."""

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import sync_to_async

from runs.streaming import rows
from runs.streaming.frames import Cursor, Frame, From, Gap, parse_cursor
from runs.streaming.hub import Hub
from runs.streaming.reader import HEARTBEAT_SECONDS, Heartbeat, Item, RunReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ThreadCursor:
    """A place in a thread's stream: a run, and a place in its stream. Written `<run id>/<attempt>-<n>`."""

    run_id: UUID | None
    cursor: Cursor


def parse_thread_cursor(text: str | None) -> ThreadCursor:
    """Return where a `Last-Event-ID` points; what cannot be read means: from what executes now on."""
    run_text, separator, place = (text or "").partition("/")
    try:
        return ThreadCursor(UUID(run_text), parse_cursor(place)) if separator else ThreadCursor(None, From.START)
    except ValueError:
        return ThreadCursor(None, From.START)


@dataclass
class ThreadReader:
    """One pass over a thread's stream."""

    hub: Hub
    thread_id: UUID
    start: ThreadCursor

    async def read(self) -> AsyncIterator[tuple[UUID | None, Item]]:
        """Yield (run, item); a heartbeat belongs to no run. Ends after a gap, and when the server shuts down."""
        place = self.start
        while not self.hub.shutting_down:
            if place.run_id is not None:
                async for item in RunReader(self.hub, place.run_id, place.cursor).read():
                    yield place.run_id, item
                    if isinstance(item, Gap):
                        return
            async for next_run_id in self._wait_for_next(place.run_id):
                if next_run_id is None:
                    yield None, Heartbeat()
                else:
                    place = ThreadCursor(next_run_id, From.START)

    async def _wait_for_next(self, run_id: UUID | None) -> AsyncIterator[UUID | None]:
        """Yield None as a heartbeat until there is a next run; then yield that, and no more."""
        beat = time.monotonic() + HEARTBEAT_SECONDS
        async with self.hub.watch_thread(self.thread_id) as watch:
            while not self.hub.shutting_down:
                if (found := await self._next(run_id)) is not None:
                    yield found
                    return
                await watch.wait(beat - time.monotonic())
                if time.monotonic() >= beat:
                    beat += HEARTBEAT_SECONDS
                    yield None

    async def _next(self, run_id: UUID | None) -> UUID | None:
        try:
            return await sync_to_async(rows.begun_after, thread_sensitive=False)(self.thread_id, run_id)
        except Exception:
            logger.warning("the runs of thread %s could not be read", self.thread_id, exc_info=True)
            return None


def is_end(item: Item) -> bool:
    """Whether the item ends the stream of its run."""
    return isinstance(item, Frame) and item.place.is_end
