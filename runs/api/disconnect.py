"""What happens when the client of a stream or wait goes away: its run may be cancelled, after a grace.

A disconnect is the client's close as seen by a living server. The run is cancelled when nobody has watched it, through
any web process, for the grace; SDKs reconnect after a second or more. Not knowable means: it goes on.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from runs.actors import system
from runs.conf import runs_settings
from runs.errors import RunError
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.states import DisconnectMode
from runs.streaming.hub import Hub, hub

logger = logging.getLogger(__name__)

ACTOR = system("disconnect")


def cares(run: Run, *, asked: bool | None, resumes: bool) -> bool:
    """Whether this connection's end is a reason to cancel the run.

    `asked`: what a joiner said about it; None: nothing. A connection that `resumes` another one stands in its place,
    so the run's own policy counts; any other joiner cancels only if it asked to.
    """
    return asked if asked is not None else resumes and run.on_disconnect == DisconnectMode.CANCEL


@asynccontextmanager
async def cancelled_when_left(run_id: UUID, *, cares: bool) -> AsyncIterator[None]:
    """Leaving this block by anything but its end is a disconnect."""
    ours = hub()
    ended = False
    try:
        yield
        ended = True
    finally:
        if cares and not ended and not ours.shutting_down:
            ours.begin(_cancel_if_unwatched(ours, run_id))


async def _cancel_if_unwatched(ours: Hub, run_id: UUID) -> None:
    await asyncio.sleep(runs_settings().DISCONNECT_GRACE)
    if ours.shutting_down or await ours.is_watched(run_id) is not False:
        return
    await sync_to_async(_cancel, thread_sensitive=False)(run_id)


def _cancel(run_id: UUID) -> None:
    try:
        cancel_run(run_id=run_id, actor=ACTOR, reason="client disconnected (on_disconnect=cancel)")
    except RunError as error:
        logger.debug("run %s ended before it could be cancelled for its client's disconnect: %s", run_id, error)
    finally:
        close_old_connections()
