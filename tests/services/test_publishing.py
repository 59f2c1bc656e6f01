"""What is sent to a broker that answers, that refuses, and that says nothing: bounded, and once."""

import json
import socket
import threading
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import pytest
import redis
from celery import current_app
from kombu import Queue
from kombu.exceptions import OperationalError
from pytest_django import Settings

from runs import broker, dispatch
from runs.checks import check_runs
from runs.conf import runs_settings
from runs.models import Run
from runs.streaming import connection
from tests.support.factories import make_actor, make_run, make_thread, stored
from tests.support.ledger import wait_until

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
    monkeypatch.setattr(broker, "_pool", lru_cache(maxsize=1)(broker._pool.__wrapped__))  # connections to this one only


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


def test_owners_are_spread_over_fair_queues(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each owner's runs wait in one queue; workers take from all of those that the deployment names."""
    sent: list[str] = []
    monkeypatch.setattr(broker, "send_task", lambda name, **options: sent.append(options["queue"]))
    settings.RUNS = {**settings.RUNS, "FAIR_QUEUES": 8}
    owners = [make_actor(f"owner-{number}") for number in range(40)]
    for owner in owners:
        make_run(make_thread(owner))
        make_run(make_thread(owner))
    assert sent[::2] == sent[1::2] == [broker.queue_of(owner.owner.pk) for owner in owners]
    assert set(sent) == set(broker.queue_names()) == {"runs", *(f"runs.{number}" for number in range(1, 8))}


def test_a_queue_from_which_nobody_takes_is_refused(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "FAIR_QUEUES": 3}
    assert broker.unserved_queues() == ["runs.1", "runs.2"]
    assert [one.id for one in check_runs()] == ["runs.E027"]


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
        broker.send_task("runs.execute_run", shown_as="1", args=("1",), task_id="1")
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


def short_break(settings: Settings) -> None:
    """The break is over as soon as it has begun to be noticed."""
    settings.RUNS = {**settings.RUNS, "PUBLISH_BREAK_SECONDS": 0.05}


def test_what_is_kept_in_a_break_is_sent_after_it_and_no_caller_tries(settings: Settings) -> None:
    """The callers' threads send nothing while the break lasts, however long: a thread of the breaker's own asks."""
    short_break(settings)
    breaker, tries = dispatch._Breaker(), list[tuple[str, bool]]()
    answers = iter([False, False, True, True])

    def send(what: str) -> None:
        tries.append((what, threading.current_thread() is threading.main_thread()))
        if not next(answers):
            raise OSError

    for what in ("first", "second"):
        breaker.call(what, partial(send, what), keep=True)
    breaker.call("a broadcast", partial(send, "a broadcast"))
    wait_until(lambda: not breaker._is_open, "the break to end")
    assert tries == [("first", True), ("first", False), ("first", False), ("second", False)]
    sent: list[str] = []
    breaker.call("after", lambda: sent.append("after"))
    assert sent == ["after"]


def test_a_run_accepted_in_a_break_is_published_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    short_break(settings)
    before = queued()
    with monkeypatch.context() as away, socket.create_server(("127.0.0.1", 0)) as listener:
        use_broker(away, listener)
        runs = [make_run(make_thread()) for _ in range(3)]
    wait_until(lambda: queued() - before == {str(run.pk) for run in runs}, "the runs to be published")


def test_who_knows_that_the_broker_is_back_ends_the_break_and_publishes_anew() -> None:
    sent: list[str] = []
    dispatch._breaker.call("broken", lambda: 1 / 0, keep=True)
    dispatch._breaker.call("kept", lambda: sent.append("kept"), keep=True)
    dispatch.broker_is_back()
    dispatch._breaker.call("next", lambda: sent.append("next"))
    assert (sent, list(dispatch._breaker._kept)) == (["next"], [])


def test_what_a_create_waits_for_with_redis_away_fits_the_promise(
    silent: socket.socket, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most one wake and one publish, each tried once: together within 300 ms."""
    monkeypatch.setattr(dispatch._messenger, "post", lambda what, send: None)  # its thread's, whom nobody waits for
    thread = make_thread()
    for _ in range(3):
        make_run(thread, strategy="enqueue")
    dispatch.broker_is_back()
    assert accepted(silent) == 1
    settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
    connection.hinter.cache_clear()
    try:
        waits = connection.hinter().connection_pool.connection_kwargs
        make_run(thread, strategy="interrupt")
    finally:
        connection.hinter.cache_clear()
    assert accepted(silent) == 2
    assert Run.objects.filter(thread=thread, status="pending").count() == 1
    assert (waits["socket_timeout"], waits["socket_connect_timeout"]) == (connection.HINT_SECONDS,) * 2
    assert connection.HINT_SECONDS + runs_settings().PUBLISH_TIMEOUT_SECONDS <= 0.3 + 1e-9


def test_a_connection_makes_one_client_and_declares_its_queue_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(make_thread())  # from here on there is a connection
    made: list[Any] = []
    declared: list[str] = []
    begin, declare = redis.Redis.__init__, Queue.declare

    def count_client(client: Any, *args: Any, **options: Any) -> None:
        made.append(options.get("connection_pool"))
        begin(client, *args, **options)

    def count_declaration(queue: Any, *args: Any, **options: Any) -> Any:
        declared.append(queue.name)
        return declare(queue, *args, **options)

    with broker._producers().acquire(block=True) as producer:
        connection: Any = producer.connection
        pool = connection.default_channel.pool
        assert hash(current_app.amqp.queues["runs"]) in connection.declared_entities
    monkeypatch.setattr(redis.Redis, "__init__", count_client)
    monkeypatch.setattr(Queue, "declare", count_declaration)
    monkeypatch.setattr(Queue, "__copy__", lambda queue: pytest.fail("copied"), raising=False)
    before = queued()
    runs = [make_run(make_thread()) for _ in range(2)]
    assert queued() - before == {str(run.pk) for run in runs}
    assert (declared, [one for one in made if one is pool]) == ([], [])
