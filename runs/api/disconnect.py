"""What happens when the client of a stream or wait goes away: its run may be cancelled, after a grace.

A disconnect is the client's close as seen by a living server. The run is cancelled when nobody has watched it, through
any web process, for the grace; SDKs reconnect after a second or more. Not knowable means: it goes on.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import cast
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.db import InterfaceError, InternalError, OperationalError, close_old_connections

from runs.actors import system
from runs.api.presence import Presence, current_presence
from runs.conf import runs_settings
from runs.errors import RunError
from runs.locks import bounded_lock_waits
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.states import DisconnectMode
from runs.streaming import interest
from runs.streaming.hub import Hub, hub
from runs.streaming.watch import Watch

logger = logging.getLogger(__name__)

ACTOR = system("disconnect")
_RETRY_SECONDS = 5.0
#: Runs whose client has left this process, and over which it watches.
_left: set[UUID] = set()


def cares(run: Run, *, asked: bool | None, resumes: bool) -> bool:
    """Whether this connection's end is a reason to cancel the run.

    `asked`: what a joiner said about it; None: nothing. A connection that `resumes` another one stands in its place,
    so the run's own policy counts; any other joiner cancels only if it asked to.
    """
    return asked if asked is not None else resumes and run.on_disconnect == DisconnectMode.CANCEL


@dataclass(slots=True)
class Connection:
    """A client's connection to a run, from before its first byte; `cares`: whether its end is a reason to cancel.

    The block watches the run. A client that goes away ends it in the middle; our own mistake is not a disconnect.
    """

    run_id: UUID
    cares: bool
    #: That of the request, if it has one, from before the run was there; it ends with the request.
    _expected: Watch | None = None
    #: Its eye on the run; None: it is not open yet.
    _watch: Watch | None = None

    @classmethod
    def to(cls, run: Run, *, cares: bool, expected: Watch | None = None) -> "Connection":
        """To be called by the view, in its thread: a client may be gone before its answer begins."""
        connection = cls(run.pk, cares, expected)
        client = current_presence()
        if cares and client is not None:
            client.loop.call_soon_threadsafe(connection._expect, client)
        elif cares:
            async_to_sync(connection._expect_of_stranger)()
        return connection

    @property
    def is_expected(self) -> bool:
        """Whether the run was watched from before it was there."""
        return self._expected is not None

    async def __aenter__(self) -> Watch:
        watch = self._expected
        if watch is None:
            watch = Watch.of_run(self.run_id)
            await hub().begin_watch(watch)
        self._watch = watch
        return watch

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ours = hub()
        try:
            has_gone = kind is not None and issubclass(kind, asyncio.CancelledError | GeneratorExit)
            if has_gone and self.cares and not ours.shutting_down:
                await self._leave(ours)
        finally:
            if self._expected is None:
                ours.end_watch(cast(Watch, self._watch))

    async def _leave(self, ours: Hub) -> None:
        ours.begin(_cancel_when_unwatched(ours, self.run_id))
        await interest.keep(ours, self.run_id, runs_settings().DISCONNECT_GRACE)

    def _expect(self, client: Presence) -> None:
        ours = hub()
        if self._expected is None:  # that watch has shown its interest before anybody else could come, or leave
            ours.begin(interest.keep(ours, self.run_id, runs_settings().DISCONNECT_GRACE))
        client.when_over(partial(self._leave_unless_open, ours))

    async def _expect_of_stranger(self) -> None:
        """Nobody watches over the client of another server than ours: what is not opened within the grace is left."""
        ours, grace = hub(), runs_settings().DISCONNECT_GRACE
        ours.begin(interest.keep(ours, self.run_id, grace))
        asyncio.get_running_loop().call_later(grace, partial(self._leave_unless_open, ours))

    def _leave_unless_open(self, ours: Hub) -> None:
        if self._watch is None and not ours.shutting_down:
            ours.begin(_leave_unanswered(ours, self.run_id))


async def _leave_unanswered(ours: Hub, run_id: UUID) -> None:
    await interest.keep(ours, run_id, runs_settings().DISCONNECT_GRACE)
    await _cancel_when_unwatched(ours, run_id)


async def _cancel_when_unwatched(ours: Hub, run_id: UUID) -> None:
    """Wait until the last has gone, and as long again. One in each process is enough for a run.

    What the database refuses for the moment, being away or with the thread held by somebody, is tried again.
    """
    if run_id in _left:
        return
    _left.add(run_id)
    try:
        grace = runs_settings().DISCONNECT_GRACE
        while (seconds := await interest.lasts(ours, run_id, grace)) is not None and not ours.shutting_down:
            if seconds == 0 and await sync_to_async(_cancel, thread_sensitive=False)(run_id):
                return
            await asyncio.sleep(seconds or _RETRY_SECONDS)
    finally:
        _left.discard(run_id)


def _cancel(run_id: UUID) -> bool:
    """Whether it is decided. The wait is bounded: those who look at rows for open streams share these few threads."""
    try:
        with bounded_lock_waits():
            cancel_run(run_id=run_id, actor=ACTOR, reason="client disconnected (on_disconnect=cancel)")
    except RunError as error:
        logger.debug("run %s ended before it could be cancelled for its client's disconnect: %s", run_id, error)
    except (OperationalError, InterfaceError, InternalError) as error:
        logger.warning("run %s was not cancelled for its client's disconnect yet: %s", run_id, error)
        return False
    finally:
        close_old_connections()
    return True
