"""Taking messages and taking none: all queues of a worker, whatever it was told to consume, and only those."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from celery import Celery
from celery.worker.consumer import Consumer
from kombu import Queue

from runs.execution.consumption import Consumption
from runs.execution.slots import SlotTable


class Stub(Consumer):
    """A consumer without a worker, whose loop does at once what it is asked for."""

    def __init__(self, *selected: str) -> None:
        self.app = Celery(set_as_current=False)
        self.app.conf.task_queues = [Queue(name) for name in ("runs", "runs.1", "runs.2")]
        if selected:
            self.app.amqp.queues.select(list(selected))
        self.task_consumer: Any = mock.Mock()
        self.task_consumer.consuming_from.return_value = False

    def call_soon(self, p: Callable[[], object], *_: Any, **__: Any) -> None:
        """Now."""
        p()

    @property
    def taken_from(self) -> list[str]:
        """What it consumes from after the next loss of its connection."""
        return sorted(self.app.amqp.queues.consume_from)

    def cancelled(self) -> list[str]:
        """What it was told to leave over its present connection."""
        return sorted(call.args[0] for call in self.task_consumer.cancel_by_queue.call_args_list)

    def added(self) -> list[str]:
        """What it was told to take from again."""
        return sorted(call.args[0].name for call in self.task_consumer.add_queue.call_args_list)


ALL = ["runs", "runs.1", "runs.2"]


def test_all_fair_queues_are_left_and_taken_from_again() -> None:
    consumer, table = Stub(), SlotTable()
    consumption = Consumption(consumer, table)
    for _ in range(2):
        consumption.want(False)
    assert (consumer.taken_from, consumer.cancelled(), table.takes_messages) == ([], ALL, False)
    for _ in range(2):
        consumption.want(True)
    assert (consumer.taken_from, consumer.added(), table.takes_messages) == (ALL, ALL, True)


def test_a_worker_that_takes_from_some_takes_from_the_same_again() -> None:
    consumer = Stub("runs.1")
    consumption = Consumption(consumer, SlotTable())
    consumption.want(False)
    assert (consumer.taken_from, consumer.cancelled()) == ([], ["runs.1"])
    consumption.want(True)
    assert (consumer.taken_from, consumer.added()) == (["runs.1"], ["runs.1"])


def test_without_a_connection_the_next_one_is_decided() -> None:
    consumer, table = Stub(), SlotTable()
    consumer.task_consumer = None
    consumption = Consumption(consumer, table)
    consumption.want(False)
    assert (consumer.taken_from, table.is_paused) == ([], True)
    consumption.want(True)
    assert (consumer.taken_from, table.is_paused) == (ALL, False)


def test_a_queue_that_was_added_by_hand_is_left_with_the_next_word() -> None:
    consumer = Stub("runs")
    consumption = Consumption(consumer, SlotTable())
    consumption.want(False)
    consumer.add_task_queue("runs.2")
    consumption.want(False)
    assert consumer.taken_from == []


def test_what_fails_is_tried_again() -> None:
    consumer, table, paused = Stub("runs"), SlotTable(), []
    consumption = Consumption(consumer, table)
    for wanted, method in ((False, consumer.task_consumer.cancel_by_queue), (True, consumer.task_consumer.add_queue)):
        for fails in (ConnectionError, None):
            method.side_effect = fails
            consumption.want(wanted)
            paused.append(table.is_paused)
    assert (paused, consumer.taken_from) == ([False, True, True, False], ["runs"])


def test_a_stop_that_was_cut_short_is_undone() -> None:
    """The queue was left, and then the connection was lost."""
    consumer = Stub("runs")
    consumption = Consumption(consumer, SlotTable())
    consumer.task_consumer.cancel_by_queue.side_effect = ConnectionError
    consumption.want(False)
    consumption.want(True)
    assert consumer.taken_from == ["runs"]


def test_a_worker_that_is_not_drained_is_left_alone() -> None:
    consumer = Stub()
    Consumption(consumer, SlotTable()).want(True)
    assert (consumer.cancelled(), consumer.added()) == ([], [])
