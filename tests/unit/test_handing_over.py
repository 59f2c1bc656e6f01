"""A message is with a child before the loop turns again; what cannot be is handed over as Celery does."""

import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.concurrency.asynpool import AsynPool
from celery.worker import strategy
from kombu.asynchronous import Hub
from kombu.message import Message

from runs.execution.handing_over import HandOverAtOnce, hand_over_first
from runs.tasks import execute_run
from tests.support.ledger import wait_until

CHILDREN = 2


def leave(place: str) -> int:
    """A job: one can see from outside that it was begun."""
    Path(place).touch()
    return os.getpid()


def wait_for(place: str) -> None:
    """A job that ends when this is there."""
    wait_until(Path(place).exists, place, 20.0)


def length_of(text: str) -> int:
    """A job that is larger than a pipe."""
    return len(text)


class Loop:
    """A real pool on a real loop, as a worker's main process has them."""

    def __init__(self) -> None:
        self.hub: Any = Hub()
        made: Any = AsynPool  # its stubs are wrong about the strategy
        self.pool: Any = made(CHILDREN, threads=False, sched_strategy="fair")
        self.got: list[Any] = []
        self.hub.call_repeatedly(0.01, lambda: None)
        self.connect()

    def connect(self) -> None:
        """What is done for each connection to the broker."""
        self.pool.register_with_event_loop(self.hub)
        consumer = SimpleNamespace(pool=SimpleNamespace(_pool=self.pool))
        HandOverAtOnce(consumer).register_with_event_loop(consumer, self.hub)

    def are_children_up(self) -> bool:
        """Each has said so."""
        self.hub.run_once()
        return len(self.pool._all_inqueues) == CHILDREN

    def give(self, job: Any, argument: object) -> None:
        """As a strategy does, in the turn in which a message was taken."""
        self.pool.apply_async(job, (str(argument),), callback=self.got.append, callbacks_propagate=())

    def turn_until(self, results: int) -> bool:
        """Let the loop turn until so many jobs have ended."""

        def turned() -> bool:
            self.hub.run_once()
            return len(self.got) == results

        return bool(wait_until(turned, f"{results} results", 20.0))

    def close(self) -> None:
        """End the children."""
        self.pool.terminate()
        self.pool.join()
        self.hub.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    try:
        assert wait_until(loop.are_children_up, "the children", 20.0)
        yield loop
    finally:
        loop.close()


def test_a_child_has_a_message_before_the_loop_turns(loop: Loop, tmp_path: Path) -> None:
    for number in range(CHILDREN):
        loop.give(leave, tmp_path / str(number))
        assert wait_until((tmp_path / str(number)).exists, "the job to begin", 5.0)
    assert loop.turn_until(CHILDREN)
    assert len(set(loop.got)) == CHILDREN


def test_a_message_that_finds_no_idle_child_waits_for_one(loop: Loop, tmp_path: Path) -> None:
    for _ in range(CHILDREN):
        loop.give(wait_for, tmp_path / "go")
    for number in range(10):
        loop.give(leave, tmp_path / str(number))
    (tmp_path / "go").touch()
    assert loop.turn_until(CHILDREN + 10)
    assert (len(loop.pool.outbound_buffer), loop.hub.writers, loop.pool._cache) == (0, {}, {})


def test_a_message_that_does_not_fit_into_a_pipe_arrives_whole(loop: Loop) -> None:
    for _ in range(5):
        loop.give(length_of, "x" * 1_000_000)
    assert loop.turn_until(5)
    assert loop.got == [1_000_000] * 5


def test_a_loop_without_messages_leaves_its_poller_alone(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[int] = []
    monkeypatch.setattr(loop.hub, "remove_writer", touched.append)
    for _ in range(10):
        loop.hub.run_once()
    assert touched == []


def test_it_is_the_same_with_another_connection(loop: Loop, tmp_path: Path) -> None:
    for number in range(3):
        loop.connect()
        loop.give(leave, tmp_path / str(number))
        assert wait_until((tmp_path / str(number)).exists, "the job to begin", 5.0)
        assert loop.turn_until(number + 1)
    assert len(loop.hub.on_tick) == 1


def test_a_message_is_handed_over_before_anything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    hub: Any = Hub()
    lines_then: list[int] = []
    consumer = _consumer(hub, lambda request: lines_then.append(len(caplog.records)))
    handle = execute_run.start_strategy(execute_run.app, consumer)
    handle(_message(), None, None, None, [])
    hub.call_later(0.0, lambda: None)
    hub.run_once()
    assert lines_then == [0]
    assert [record.getMessage() for record in caplog.records] == ["Task echo/reject[1-2] received"]
    assert vars(caplog.records[0])["data"]["id"] == "1-2"
    hub.close()


def test_a_pool_without_a_loop_has_celerys_own_strategy() -> None:
    assert hand_over_first(execute_run, execute_run.app, _consumer(None, lambda _: None)) is not None
    assert "info" in inspect.signature(strategy.default).parameters


def _consumer(hub: Any, handle: Any) -> Any:
    none: Any = None
    return SimpleNamespace(
        hub=hub,
        hostname="celery@here",
        connection_errors=(),
        event_dispatcher=none,
        timer=SimpleNamespace(call_at=none),
        apply_eta_task=none,
        disable_rate_limits=True,
        task_buckets={},
        on_task_request=handle,
        _limit_task=none,
        _limit_post_eta=none,
        pool=SimpleNamespace(apply_async=none),
        controller=SimpleNamespace(state=SimpleNamespace(revoked=set())),
    )


def _message() -> Message:
    app: Any = Celery(set_as_current=False)
    made = app.amqp.as_task_v2("1-2", execute_run.name, ("1-2",), {}, shadow="echo/reject")
    body = json.dumps(made.body)
    return Message(
        body,
        headers=made.headers,
        properties=made.properties,
        content_type="application/json",
        content_encoding="utf-8",
    )
