"""Events of tasks are gathered for a moment and go together; nothing that was gathered is lost with a connection."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from celery.worker.consumer.events import Events

from runs.execution.announcements import EVERY_SECONDS, GatherEvents


class Consumer:
    """As far as the two steps need one: its connection takes what is published, or is lost."""

    def __init__(self) -> None:
        self.app = Celery(set_as_current=False, broker="memory://")
        self.steps: list[Any] = []
        self.sent: list[tuple[str, list[str]]] = []
        self.is_lost, self.flushes = False, 0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.hub, self.hostname, self.amqheartbeat = self, "celery@here", 0
        self.event_dispatcher: Any = None
        self.events = Events(self)
        self.gather = GatherEvents(self)

    def connect(self) -> None:
        """A connection begins: the steps in their order."""
        self.is_lost = False
        self.events.start(self)
        self.gather.register_with_event_loop(self, self)

    def connection_for_write(self, heartbeat: Any = None) -> Any:
        return self.app.connection_for_write()

    def on_send_event_buffered(self) -> None:
        """What Celery does for each event: send it when the loop turns."""
        self.flushes += 1

    def call_repeatedly(self, seconds: float, call: Callable[[], None]) -> None:
        """Of the loop."""
        self.timers.append((seconds, call))

    def publish(self, body: Any, routing_key: str, **_: Any) -> None:
        """Of the producer."""
        if self.is_lost:
            raise ConnectionError("lost")
        self.sent.append((routing_key, [event["type"] for event in (body if isinstance(body, list) else [body])]))

    def say(self, *kinds: str) -> None:
        """Have these events announced."""
        for kind in kinds:
            self.event_dispatcher.send(kind)


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    consumer = Consumer()
    monkeypatch.setattr("celery.events.dispatcher.Producer", lambda *_, **__: consumer)
    consumer.connect()
    return consumer


def test_what_happens_to_tasks_within_a_moment_is_one_message(consumer: Consumer) -> None:
    consumer.say("task-received", "task-started", "task-succeeded")
    assert (consumer.sent, consumer.flushes) == ([], 0)
    ((seconds, tick),) = consumer.timers
    tick()
    assert (seconds, consumer.sent) == (
        EVERY_SECONDS,
        [("task.multi", ["task-received", "task-started", "task-succeeded"])],
    )
    tick()
    assert len(consumer.sent) == 1


def test_what_happens_to_the_worker_is_said_at_once(consumer: Consumer) -> None:
    consumer.say("worker-heartbeat")
    assert consumer.sent == [("worker.heartbeat", ["worker-heartbeat"])]


@pytest.mark.parametrize("end", ["stop", "shutdown"])
def test_what_was_gathered_is_sent_before_the_worker_ends(consumer: Consumer, end: str) -> None:
    consumer.say("task-succeeded")
    getattr(consumer.gather, end)(consumer)
    getattr(consumer.events, end)(consumer)
    assert consumer.sent == [("task.multi", ["task-succeeded"])]


def test_what_was_gathered_before_a_connection_was_lost_goes_over_the_next(consumer: Consumer) -> None:
    consumer.say("task-received", "task-started")
    consumer.is_lost = True
    consumer.gather.stop(consumer)
    assert consumer.sent == []
    consumer.connect()
    assert consumer.sent == [("task.multi", ["task-received", "task-started"])]
