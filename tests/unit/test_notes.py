"""What a worker tells Redis of its messages is what kombu tells, in the same order; nobody waits for the answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from django.conf import settings
from kombu import Connection, Consumer, Producer
from kombu.asynchronous import Hub, set_event_loop
from kombu.transport.redis import Channel, QoS

from runs.execution.notes import PatientQoS, note_without_waiting
from tests.support.ledger import wait_until

QUEUE = "tests-notes"
KEYS = {"unacked_key": "tests-notes-unacked", "unacked_index_key": "tests-notes-index"}


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    keys = (QUEUE, *KEYS.values(), *(f"tests-{key}" for key in (QUEUE, *KEYS.values())))
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        client.delete(*keys)
        yield client
        client.delete(*keys)


@pytest.fixture(params=[QoS, PatientQoS], ids=["kombu", "ours"])
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both pass the same tests."""
    made_by: Any = Channel
    monkeypatch.setattr(made_by, "QoS", QoS)
    if request.param is PatientQoS:
        note_without_waiting()
    return request.param


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by: Any = Channel
    monkeypatch.setattr(made_by, "QoS", QoS)
    note_without_waiting()


@pytest.fixture
def loop(ours: None) -> Iterator[Any]:
    """The loop of a worker's main process."""
    hub: Any = Hub()
    hub.propagate_errors = (redis.RedisError,)  # as with a worker: these end the connection
    set_event_loop(hub)
    yield hub
    set_event_loop(None)
    hub.close()


@contextmanager
def worker(**options: Any) -> Iterator[tuple[Any, list[Any]]]:
    """A connection that consumes, and the messages that it has got."""
    with Connection(settings.REDIS_URL, transport_options={**KEYS, **options}) as connection:
        got: list[Any] = []
        consumer: Any = Consumer(connection, [connection.SimpleQueue(QUEUE).queue], on_message=got.append)
        producer: Any = Producer(connection)
        for number in range(3):
            producer.publish({"number": number}, routing_key=QUEUE)
        with consumer:
            while len(got) < 3:
                connection.drain_events(timeout=5.0)
            yield connection, got


def noted(client: redis.Redis, prefix: str = "") -> set[str]:
    """The tags of messages that are a worker's."""
    known: Any = client.hgetall(prefix + KEYS["unacked_key"])
    assert {*client.zrange(prefix + KEYS["unacked_index_key"], 0, -1)} == {*known}
    assert all(json.loads(whole)[0]["properties"]["delivery_tag"] == tag for tag, whole in known.items())
    return {*known}


def tags(messages: list[Any]) -> set[str]:
    return {message.delivery_tag for message in messages}


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("prefix", ["", "tests-"])
def test_a_message_is_noted_from_its_delivery_to_its_end(client: redis.Redis, prefix: str) -> None:
    with worker(global_keyprefix=prefix) as (_, got):
        first, *others = got
        first.channel.qos.restore_visible()  # heard what was said before
        assert noted(client, prefix) == tags(got)
        first.ack()
        first.channel.qos.restore_visible()
        assert noted(client, prefix) == tags(others)
        assert len(first.channel.qos._delivered) - len(first.channel.qos._dirty) == 2


@pytest.mark.usefixtures("patience")
def test_what_is_given_back_comes_again(client: redis.Redis) -> None:
    with worker() as (_, got):
        got[0].ack()
        got[1].reject(requeue=True)
        got[2].reject()
        assert noted(client) == set()
        assert [json.loads(text)["properties"]["delivery_tag"] for text in client.lrange(QUEUE, 0, -1)] == [
            got[1].delivery_tag
        ]


@pytest.mark.usefixtures("patience")
def test_a_connection_that_ends_gives_back_what_is_not_done_and_nothing_else(client: redis.Redis) -> None:
    with worker() as (_, got):
        got[1].ack()
    given_back = {json.loads(text)["properties"]["delivery_tag"] for text in client.lrange(QUEUE, 0, -1)}
    assert given_back == tags([got[0], got[2]])
    assert noted(client) == set()


@pytest.mark.usefixtures("patience")
def test_a_lost_connection_costs_no_later_note(client: redis.Redis) -> None:
    with worker() as (_, got):
        got[0].channel.qos.restore_visible()
        for known in client.client_list(_type="normal"):
            if known["id"] != str(client.client_id()):
                client.client_kill_filter(_id=known["id"])
        got[0].ack()
        got[0].channel.qos.restore_visible()
        assert noted(client) == tags(got[1:])


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("then", ["reject", "restore_visible", "restore_unacked", "restore_unacked_once"])
def test_what_depends_on_notes_comes_after_them(client: redis.Redis, then: str) -> None:
    """It goes over another connection, so Redis could do it first."""
    with worker() as (_, got):
        qos = got[0].channel.qos
        got[0].ack()
        ((line,), unread) = qos._known[1]._idle, qos._known[1]._idle[0]._unread
        getattr(qos, then)(*([got[1].delivery_tag] if then == "reject" else []))
        assert (unread, line._unread) == (len(["MULTI", "ZREM", "HDEL", "EXEC"]), 0)


@pytest.mark.usefixtures("ours")
def test_nobody_waits_for_a_redis_that_stands_still(client: redis.Redis) -> None:
    with worker(socket_timeout=5.0) as (_, got):
        client.client_pause(60_000, all=False)
        try:
            got[0].ack()
            assert noted(client) == tags(got)
        finally:
            client.client_unpause()
        got[0].channel.qos.restore_visible()
        assert noted(client) == tags(got[1:])


@pytest.mark.usefixtures("ours")
def test_a_note_that_redis_refuses_is_an_error_of_the_next(client: redis.Redis) -> None:
    with worker() as (_, got):
        got[0].channel.qos.restore_visible()
        client.rename(KEYS["unacked_key"], QUEUE + "-kept")
        client.set(KEYS["unacked_key"], "no hash")
        try:
            got[0].ack()
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                got[1].ack()
        finally:
            client.rename(QUEUE + "-kept", KEYS["unacked_key"])


def test_what_is_done_with_is_said_with_the_next_message(client: redis.Redis, loop: Any) -> None:
    with worker() as (connection, got):
        got[0].ack()
        assert noted(client) == tags(got)
        Producer(connection).publish({}, routing_key=QUEUE)
        connection.drain_events(timeout=5.0)
        got[1].channel.qos._known[1].settle()
        assert noted(client) == tags(got[1:])
        assert len(got[1].channel.qos._delivered) == 3


def test_what_is_done_with_is_said_a_moment_later_without_one(client: redis.Redis, loop: Any) -> None:
    with worker() as (_, got):
        for message in got[:2]:
            message.ack()
        assert noted(client) == tags(got)
        wait_until(lambda: (loop.run_once(), noted(client) == tags(got[2:]))[1], "it to be said", 5.0)
        got[2].ack()
        wait_until(lambda: (loop.run_once(), not noted(client))[1], "it to be said again", 5.0)


def test_many_that_are_done_with_do_not_wait(client: redis.Redis, loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.execution.notes.MOST_DONE", 2)
    with worker() as (_, got):
        for message in got[:2]:
            message.ack()
        got[2].channel.qos._known[1].settle()
        assert noted(client) == tags(got[2:])


@pytest.mark.parametrize("then", ["restore_visible", "restore_unacked", "restore_unacked_once"])
def test_what_is_done_with_is_not_given_back(client: redis.Redis, loop: Any, then: str) -> None:
    with worker() as (_, got):
        got[1].ack()
        getattr(got[1].channel.qos, then)()
        assert got[1].delivery_tag not in noted(client)
        assert got[1].channel.qos._done == []
    given_back = {json.loads(text)["properties"]["delivery_tag"] for text in client.lrange(QUEUE, 0, -1)}
    assert given_back == tags([got[0], got[2]])


def test_a_loop_outlives_the_loss_of_what_it_would_say_it_over(client: redis.Redis, loop: Any) -> None:
    with worker() as (_, got):
        qos = got[0].channel.qos
        got[0].ack()
        qos._known[1].close()
        options = qos.channel.pool.connection_kwargs
        try:
            options |= {"username": "nobody", "password": "wrong"}
            wait_until(lambda: (loop.run_once(), not qos._is_due)[1], "it to be tried", 5.0)
        finally:
            options |= {"username": None, "password": None}
        assert (qos._done, noted(client)) == ([], tags(got))
