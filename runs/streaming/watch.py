"""One reader's eye on a run or a thread: how it is woken, and how it waits for that."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from runs.states import IN_FLIGHT, RunStatus
from runs.streaming import log, wakes
from runs.streaming.frames import Place
from runs.streaming.rows import RunRow

#: Wakes that are no reason to ask whether the run has ended.
_NO_END = frozenset({log.FRAMES, *IN_FLIGHT})
#: Wakes that are no reason to look for frames: of a row. Those of the stream's own writers say so, also of its end.
_NO_FRAMES = frozenset(RunStatus)


class _Bell:
    """Rings for one who waits, or for the next who does. An asyncio.Event has a queue, and there are thousands."""

    __slots__ = ("_has_rung", "_waiter")

    def __init__(self) -> None:
        self._has_rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Once, however often before the next wait."""
        self._has_rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def forget(self) -> None:
        """It has not rung."""
        self._has_rung = False

    async def wait(self, seconds: float) -> bool:
        """Whether it has rung since the last wait, or does within these seconds."""
        _insist_on_cancellation()
        if not self._has_rung:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(max(seconds, 0), _give_up, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        has_rung, self._has_rung = self._has_rung, False
        return has_rung


def _give_up(waiter: "asyncio.Future[None]") -> None:
    """A time limit of asyncio's own would be three objects more."""
    if not waiter.done():
        waiter.set_result(None)


@dataclass(eq=False, slots=True)
class Watch:
    """One reader's eye on a run, or on everything that happens on a thread."""

    channel: str
    run_id: UUID | None = None
    thread_id: UUID | None = None
    #: The row of the run as last seen; None: not seen yet, or gone.
    row: RunRow | None = None
    #: When a run began last on the thread.
    begun_at: datetime | None = None
    #: Whether the row has been read since the watch began.
    looked: bool = False
    #: Whether its reader waits for frames after `place`, and looks for them only when it is woken.
    waits_for_frames: bool = False
    place: Place | None = None
    #: The frames that have come with all wakes since the last `take`; empty: look for them; None: there was no wake.
    _carried: tuple[str, ...] | None = None
    #: What the run answers, as JSON text, if its end has said so.
    result: str | None = None
    _woken: _Bell = field(default_factory=_Bell)
    _may_have_ended: _Bell = field(default_factory=_Bell)

    @classmethod
    def of_run(cls, run_id: UUID) -> "Watch":
        """Of this run."""
        return cls(log.channel(run_id), run_id=run_id)

    def wake(self, heard: str = "", carried: str = "") -> None:
        """Have the reader look again; `heard`: what the wake said; `carried`: what came with it, frames or a result."""
        if heard == RunStatus.SUCCESS and carried:
            self.result = carried
        if heard not in _NO_FRAMES:
            self._keep(carried)
            self._woken.ring()
        if heard not in _NO_END:
            self._may_have_ended.ring()

    def _keep(self, carried: str) -> None:
        """For who can use it: whoever looks anyway, or has been told to, finds it then."""
        can_use = carried and self.waits_for_frames and self._carried != ()
        self._carried = wakes.kept(self._carried or (), carried) if can_use else ()

    def take(self) -> tuple[str, ...]:
        """The frames that have come with all wakes since the last time; empty: look for them."""
        carried, self._carried = self._carried, None
        return carried or ()

    def forget_wakes(self) -> None:
        """The reader begins to look only now, and sees whatever it was woken for."""
        self._carried = None
        self._woken.forget()
        self._may_have_ended.forget()

    def show(self, row: RunRow | None) -> None:
        """Show the row as it is now; a terminal one wakes every time, until its reader is done with it."""
        changed = not self.looked or self.row != row
        if changed:  # thousands of rows that are replaced each second leave holes in memory
            self.row, self.looked = row, True
        if changed or row is None or row.is_terminal:
            self.wake()

    def show_beginning(self, begun_at: datetime | None) -> None:
        """Show when a run began last on the thread."""
        if self.begun_at != begun_at:
            self.begun_at = begun_at
            self.wake()

    def wait(self, seconds: float) -> Coroutine[Any, Any, bool]:
        """Wait until there may be something to read or to see; False if there was nothing for this long."""
        return self._woken.wait(seconds)

    def wait_for_end(self, seconds: float) -> Coroutine[Any, Any, bool]:
        """Wait until the run may have ended or been settled, whatever else happens; False if not for this long."""
        return self._may_have_ended.wait(seconds)


def _insist_on_cancellation() -> None:
    """Heed a cancellation that was swallowed on the way here, or a client that has gone would be served for ever.

    redis-py bounds what it sends by `asyncio.wait_for`, which before Python 3.12 returns as if nothing had happened if
    it is cancelled in the moment in which it is done.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
