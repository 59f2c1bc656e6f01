"""A message goes to a child of the prefork pool in the turn of the loop in which it was taken.

Celery 5.7 puts it down instead, has the poller look for children that can be written to, and in every further turn
takes all of them out of the poller again: a turn, and two calls of the system for each child, for each message. And it
writes a message in two parts, the first of which wakes the child.
`tests/unit/test_handing_over.py` says what this relies on.
"""

import os
from select import PIPE_BUF
from typing import Any

from celery import bootsteps
from celery.concurrency.asynpool import AsynPool
from celery.utils.log import get_logger
from celery.worker import strategy

logger = get_logger(strategy.__name__)


class HandOverAtOnce(bootsteps.StartStopStep):
    """What a child cannot be given at once waits as it does without this."""

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Called for every connection to the broker, after the pool, which makes its functions anew each time."""
        pool = vars(consumer.pool).get("_pool")
        if isinstance(pool, AsynPool):
            _write_at_once(pool)
            _look_for_what_waits_only(pool, hub)


def _write_at_once(pool: Any) -> None:
    put = pool._quick_put

    def put_and_write(message: Any) -> None:
        put(message)
        idle = pool._all_inqueues - pool._active_writes - pool._busy_workers
        if idle and len(pool.outbound_buffer) == 1:  # who has come before is given to a child before
            _write(pool, min(idle))

    pool._quick_put = put_and_write


def _write(pool: Any, pipe: int) -> None:
    """Once, unless it is larger than what a pipe takes as a whole or not at all: the rest would have to wait."""
    (job,), process = pool.outbound_buffer, pool._fileno_to_inq[pipe]
    message = b"".join(job._payload[:2])
    if len(message) > PIPE_BUF:
        return
    try:
        os.write(pipe, message)
    except OSError:
        return
    pool.outbound_buffer.clear()
    job._scheduled_for = job._write_to = process
    pool._busy_workers.add(pipe)
    pool.write_stats[process.index] += 1


def _look_for_what_waits_only(pool: Any, hub: Any) -> None:
    """Without anything that waits there is nothing to be written, and nobody who was told to say when it can be."""
    look = pool.on_poll_start
    if look not in hub.on_tick:  # it was put there for the first connection, and is kept
        return

    def look_if_something_waits() -> None:
        if pool.outbound_buffer or hub.writers:
            look()

    hub.on_tick.remove(look)
    hub.on_tick.add(look_if_something_waits)


def hand_over_first(task: Any, app: Any, consumer: Any, **options: Any) -> Any:
    """Celery's strategy for messages; what is to be logged of one is logged when the loop turns, in the same thread."""
    if consumer.hub is None:
        return strategy.default(task, app, consumer, **options)

    def info(*line: Any, **about: Any) -> None:
        consumer.hub.call_soon(lambda: logger.info(*line, **about))

    return strategy.default(task, app, consumer, info=info, **options)
