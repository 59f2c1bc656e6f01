"""A message goes to a child of the prefork pool in the turn of the loop in which it was taken.

Celery 5.7 puts it down instead, has the poller look for children that can be written to, and in every further turn
takes all of them out of the poller again: two calls of the system for each child, and a turn, for each message.
`tests/unit/test_handing_over.py` says what this relies on.
"""

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
            _write_at_once(pool, hub)
            _look_for_what_waits_only(pool, hub)


def _write_at_once(pool: Any, hub: Any) -> None:
    put = pool._quick_put

    def put_and_write(job: Any) -> None:
        put(job)
        if idle := pool._all_inqueues - pool._active_writes - pool._busy_workers:
            hub.consolidate_callback(list(idle))

    pool._quick_put = put_and_write


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
