"""Whether a worker takes messages: a drained one does not. Changed on the consumer's own thread, for all its queues."""

import logging
from typing import Any

from runs.execution.slots import SlotTable

logger = logging.getLogger(__name__)


class Consumption:
    """Celery's consumer of this worker, told what is wanted as often as it is known: what failed is tried again."""

    def __init__(self, consumer: Any, table: SlotTable) -> None:
        self._consumer, self._table = consumer, table
        self._is_wanted = True
        #: The queues that it will take from again.
        self._left: list[str] = []

    def want(self, is_wanted: bool) -> None:
        """Take messages from now on, or none; from any thread, returns at once.

        Stopped again and again while it is not wanted: somebody may have added a queue by hand. A stop that was cut
        short has left queues, too.
        """
        self._is_wanted = is_wanted
        if not is_wanted or self._left or self._table.is_paused:
            self._consumer.call_soon(self._apply)

    def _apply(self) -> None:
        """Never raises: the consumer would start anew. A lost connection is found by whoever uses it next."""
        try:
            if self._is_wanted:
                self._go_on()
            else:
                self._stop()
        except Exception:
            logger.warning("consumption was not changed; the next renewal tries again", exc_info=True)

    def _stop(self) -> None:
        """What is not selected is not consumed after the loss of a connection, either."""
        queues = self._consumer.app.amqp.queues
        for name in list(queues.consume_from):
            self._left.append(name)
            if self._consumer.task_consumer is None:
                queues.deselect(name)
            else:
                self._consumer.cancel_task_queue(name)
        if not self._table.is_paused:
            logger.info("this worker is drained: it takes no messages any more")
            self._table.mark_paused(True)

    def _go_on(self) -> None:
        queues = self._consumer.app.amqp.queues
        while self._left:
            name = self._left[-1]
            if self._consumer.task_consumer is None:
                queues.select_add(queues[name])
            else:
                self._consumer.add_task_queue(name)
            self._left.pop()
        if self._table.is_paused:
            self._table.mark_paused(False)
            logger.info("this worker is drained no more: it takes messages again")
