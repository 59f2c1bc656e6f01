"""Whether anybody is interested in a run, over all web processes: watches it now, or did until a moment ago."""

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

import redis

from runs.streaming import log
from runs.streaming.hub import Hub

logger = logging.getLogger(__name__)

#: How long after a lost connection other web processes may still be on their way back to theirs.
SETTLE_SECONDS = 5.0
#: Between the questions whether anybody watches, and after the last.
_PAUSES = (0.1, 0.5, 0.0)


async def keep(hub: Hub, run_id: UUID, seconds: float) -> None:
    """Have the interest last this long: to be called when a watcher comes and before it goes.

    So a client that comes and goes on several web processes is not missed by one that looks in between.
    """
    try:
        await hub.client.set(_key(run_id), "", px=max(1, int(seconds * 1000)))
    except (redis.RedisError, OSError) as error:
        logger.info("that run %s is left was not noted (%s)", run_id, error)


async def lasts(hub: Hub, run_id: UUID, seconds: float) -> float | None:
    """Return for how long the interest lasts at least: `seconds` while the run is watched; None: that is not knowable.

    Right after a lost connection other web processes may not have subscribed again.
    """
    if hub.watches(run_id):
        return seconds
    if time.monotonic() - hub.lost_at < SETTLE_SECONDS:
        return None
    answer = await _ask_again_and_again(hub, run_id)
    if answer is None:
        return None
    watchers, left = answer
    return seconds if watchers else max(0.0, left / 1000)


async def _ask_again_and_again(hub: Hub, run_id: UUID) -> tuple[int, int] | None:
    """One question that is not answered is no outage."""
    for pause in _PAUSES:
        try:
            return await _ask(hub, run_id)
        except (redis.RedisError, OSError) as error:
            logger.info("whether anybody watches run %s is not known (%s)", run_id, error)
            await asyncio.sleep(pause)
    return None


async def _ask(hub: Hub, run_id: UUID) -> tuple[int, int]:
    pipeline: Any = hub.client.pipeline(transaction=False)
    pipeline.pubsub_numsub(log.channel(run_id))
    pipeline.pttl(_key(run_id))
    [(_, watchers)], left = await pipeline.execute()
    return watchers, left


def _key(run_id: UUID) -> str:
    return f"runyard:left:{run_id}"
