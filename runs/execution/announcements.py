"""What Flower is told of tasks: gathered for a moment and sent together, as every message costs both sides."""

from typing import Any

from celery import bootsteps
from celery.worker.consumer.events import Events

#: How late an event may be. What has piled up to Celery's own bound is sent at once.
EVERY_SECONDS = 0.2


class GatherEvents(bootsteps.StartStopStep):
    """Send the events of tasks five times a second, instead of whenever the consumer's loop turns."""

    requires = (Events,)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Called for every connection to the broker, whose loss clears all timers."""
        consumer.event_dispatcher.on_send_buffered = None
        hub.call_repeatedly(EVERY_SECONDS, lambda: _send(consumer))

    def stop(self, consumer: Any) -> None:
        """The connection is given up: what cannot be sent any more is kept, and the next one is given it."""
        _send(consumer)

    def shutdown(self, consumer: Any) -> None:
        """The worker ends."""
        _send(consumer)


def _send(consumer: Any) -> None:
    if consumer.event_dispatcher is not None:
        consumer.event_dispatcher.flush()
