"""What is sent to a broker that answers, that refuses, and that says nothing: bounded, and once."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import current_app
from kombu.exceptions import OperationalError

from runs import broker, dispatch
from runs.conf import runs_settings
from runs.models import Run
from tests.support.factories import make_run, make_thread, stored

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture(autouse=True)
def outbox() -> None:
    """Here messages really go to the broker."""


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A broker that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        use_broker(monkeypatch, listener)
        yield listener


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is not there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        use_broker(monkeypatch, unused)


def use_broker(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{listener.getsockname()[1]}/0")


def accepted(listener: socket.socket) -> int:
    """How many connections this broker was asked for."""
    listener.setblocking(False)
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def queued() -> set[str]:
    """The runs whose messages wait in the broker."""
    with redis.Redis.from_url(current_app.conf.broker_url) as client:
        return {json.loads(message)["headers"]["id"] for message in client.lrange("runs", 0, -1)}


def test_a_message_reaches_the_broker() -> None:
    before = queued()
    runs = [make_run(make_thread()) for _ in range(2)]
    assert queued() - before == {str(run.pk) for run in runs}


def test_a_silent_broker_is_asked_once_and_then_left_alone(silent: socket.socket) -> None:
    runs = [make_run(make_thread()) for _ in range(3)]
    assert accepted(silent) == 1
    assert {stored(run).dispatches for run in runs} == {1}


@pytest.mark.usefixtures("refusing")
def test_a_broker_that_refuses_costs_no_run() -> None:
    make_run(make_thread())
    assert Run.objects.count() == 1
    sent: list[str] = []
    dispatch._breaker.call("the next", lambda: sent.append("next"))
    assert sent == []


@pytest.mark.usefixtures("silent")
def test_each_way_to_send_fails_instead_of_waiting() -> None:
    with pytest.raises(OperationalError):
        broker.send_task("runs.execute_run", args=("1",), task_id="1")
    with pytest.raises(OperationalError):
        broker.broadcast("interrupt_run", {})
    with pytest.raises(OperationalError):
        broker.revoke("1")


def test_nothing_is_retried_and_connections_keep_the_setting() -> None:
    seconds = runs_settings().PUBLISH_TIMEOUT_SECONDS
    with broker._producers().acquire(block=True) as producer:
        connection: Any = producer.connection
        made = connection.default_channel.pool.connection_kwargs
        assert (made["socket_timeout"], made["socket_connect_timeout"]) == (seconds, seconds)
        assert (made["retry_on_timeout"], connection.transport_options["max_retries"]) == (False, 0)
    consumer = current_app.connection_for_read().transport_options or {}
    assert (consumer["socket_timeout"], "max_retries" in consumer) == (10, False)


def test_after_a_break_one_caller_tries_and_the_others_wait_for_its_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("runs.dispatch.time.monotonic", lambda: now)
    breaker, sent = dispatch._Breaker(), list[str]()
    breaker.call("broken", lambda: 1 / 0)
    breaker.call("in the break", lambda: sent.append("in the break"))
    now += runs_settings().PUBLISH_BREAK_SECONDS

    def probe() -> None:
        other = threading.Thread(target=breaker.call, args=("meanwhile", lambda: sent.append("meanwhile")))
        other.start()
        other.join()
        sent.append("probe")

    breaker.call("probe", probe)
    breaker.call("after", lambda: sent.append("after"))
    assert sent == ["probe", "after"]


def test_a_probe_that_fails_begins_another_break(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("runs.dispatch.time.monotonic", lambda: now)
    breaker, sent = dispatch._Breaker(), list[str]()
    for _ in range(2):
        breaker.call("broken", lambda: 1 / 0)
        breaker.call("in the break", lambda: sent.append("in the break"))
        now += runs_settings().PUBLISH_BREAK_SECONDS
    breaker.call("probe", lambda: sent.append("probe"))
    assert sent == ["probe"]


def test_who_knows_that_the_broker_is_back_ends_the_break() -> None:
    sent: list[str] = []
    dispatch._breaker.call("broken", lambda: 1 / 0)
    dispatch.broker_is_back()
    dispatch._breaker.call("next", lambda: sent.append("next"))
    assert sent == ["next"]
