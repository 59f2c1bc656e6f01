"""Messages that are filled in instead of made by Celery: what arrives is what Celery would have sent."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from celery import Celery, _state, current_app, signals
from kombu.exceptions import OperationalError

from runs import broker
from runs.broker_messages import Message, readable, template_of
from runs.conf import runs_settings
from runs.tasks import execute_run

#: Typed by hand: its stubs do not know it.
_TASKS: Any = vars(_state)["_task_stack"]
QUEUE = "runs"
ID = "0190a1b2-0000-7000-8000-000000000001"
SAID: dict[str, Any] = {
    "args": (ID,),
    "task_id": ID,
    "queue": QUEUE,
    "shown_as": "graph/réject",
    "argsrepr": f"(run {ID})",
    "kwargsrepr": "{'thread': 'a', 'assistant': \"b'\"}",
}


@pytest.fixture(autouse=True)
def outbox() -> None:
    """Here messages really go to the broker."""


@pytest.fixture(autouse=True)
def own_producers() -> Iterator[None]:
    """Nothing is known of the broker before the test, and nothing of the test's own afterwards."""
    broker._begin_anew()
    yield
    broker._begin_anew()


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """The broker; the queue of these tests is empty before and after."""
    with redis.Redis.from_url(current_app.conf.broker_url, decode_responses=True) as client:
        client.delete(QUEUE)
        yield client
        client.delete(QUEUE)


class Heard:
    """What arrives at the broker: messages and their announcements."""

    def __init__(self, client: redis.Redis) -> None:
        listening: Any = client
        self._client, self._listener = client, listening.pubsub()
        self._listener.psubscribe("*celeryev/task.sent")
        assert self._listener.get_message(timeout=5.0) is not None

    def next(self) -> list[tuple[Any, ...]]:
        """The message that was sent last, and its announcement."""
        text = self._client.rpop(QUEUE)
        said = self._listener.get_message(timeout=5.0)
        assert text is not None
        assert said is not None
        assert self._client.llen(QUEUE) == 0
        return [("LPUSH", QUEUE, text), ("PUBLISH", said["channel"], said["data"])]


@pytest.fixture
def heard(client: redis.Redis) -> Heard:
    return Heard(client)


def send(**options: Any) -> None:
    broker.send_task("runs.execute_run", **{**SAID, **options})


def forbid_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Celery, "send_task", lambda *_, **__: pytest.fail("made by Celery"))


@pytest.mark.parametrize("options", [{}, {"headers": {"runyard_alone": True}}], ids=["shared", "alone"])
def test_a_filled_message_is_what_celery_sends(
    options: dict[str, Any], heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(**options)
    by_celery = heard.next()
    forbid_celery(monkeypatch)
    send(**options)
    filled = heard.next()
    assert readable(filled) == readable(by_celery)
    (first, told_first), (second, told_second) = (
        [json.loads(text) for *_, text in sent] for sent in (by_celery, filled)
    )
    tags = [one["properties"]["delivery_tag"] for one in (first, told_first, second, told_second)]
    assert len({*tags}) == 4
    assert first["headers"].get("runyard_alone", False) == bool(options)


def test_a_filled_message_says_what_differs(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run, sent by a task in another thread: filled in, and then as Celery does."""
    other: dict[str, Any] = {"args": ("2",), "task_id": "2", "shown_as": "b", "argsrepr": "(2)", "kwargsrepr": "{}"}
    task = current_app.tasks[execute_run.name]
    send()
    heard.next()

    def send_twice() -> list[Any]:
        task.push_request(id="parent", root_id="root", called_directly=False)
        _TASKS.push(task)
        try:
            forbid_celery(monkeypatch)
            send(**other)
            filled = heard.next()
            monkeypatch.undo()
            monkeypatch.setattr(broker, "are_left_alone", lambda: False)
            send(**other)
            return [filled, heard.next()]
        finally:
            _TASKS.pop()
            task.pop_request()

    with ThreadPoolExecutor(1) as thread:
        filled, by_celery = thread.submit(send_twice).result()
    assert readable(filled) == readable(by_celery)
    headers = json.loads(filled[0][-1])["headers"]
    assert (headers["id"], headers["root_id"], headers["parent_id"]) == ("2", "root", "parent")


def test_who_is_told_of_messages_may_change_each(heard: Heard) -> None:
    send()
    heard.next()

    def mark(headers: dict[str, Any], **_: Any) -> None:
        headers["marked"] = True

    signals.before_task_publish.connect(mark)
    try:
        send()
    finally:
        signals.before_task_publish.disconnect(mark)
    ((*_, text), _) = heard.next()
    assert json.loads(text)["headers"]["marked"]
    send()
    ((*_, text), _) = heard.next()
    assert "marked" not in json.loads(text)["headers"]


def test_a_connection_that_the_broker_has_closed_costs_no_message(heard: Heard, client: redis.Redis) -> None:
    send()
    heard.next()
    for known in client.client_list(_type="normal"):
        if known["id"] != str(client.client_id()):
            client.client_kill_filter(_id=known["id"])
    heard = Heard(client)  # who listened was among them
    send(task_id="2", args=("2",))
    ((*_, text), _) = heard.next()
    assert json.loads(text)["headers"]["id"] == "2"


def test_what_redis_refuses_is_raised_and_not_tried_again(
    heard: Heard, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    heard.next()
    client.set(QUEUE, "no list")
    with monkeypatch.context() as never:
        forbid_celery(never)
        with pytest.raises(OperationalError, match="WRONGTYPE"):
            send()
    client.delete(QUEUE)
    producers = broker._producers()
    assert (producers.templates, len(producers.lines._idle)) == ({}, 0)
    assert heard._listener.get_message(timeout=5.0) is not None  # of the one that was refused
    send()
    heard.next()


def test_connections_for_filled_messages_are_bounded_in_time(heard: Heard) -> None:
    send()
    heard.next()
    (idle,) = broker._producers().lines._idle
    line, seconds = idle._connection, runs_settings().PUBLISH_TIMEOUT_SECONDS
    assert (line.socket_timeout, line.socket_connect_timeout, line.retry_on_timeout) == (seconds, seconds, False)


def test_what_is_not_given_back_as_it_was_is_no_template(heard: Heard) -> None:
    """Compressed, of another protocol, or with a field that nobody here knows to differ."""
    send()
    sent = heard.next()
    message = Message(ID, SAID["args"], SAID["shown_as"], SAID["argsrepr"], SAID["kwargsrepr"])
    assert template_of(sent, message) is not None
    ((*push, text), announcement) = sent
    for key, value in (("body", "AAAA"), ("body", 1), ("headers", {"id": "3"}), ("properties", {"delivery_tag": "3"})):
        assert template_of([(*push, json.dumps({**json.loads(text), key: value})), announcement], message) is None
    assert template_of([*sent, announcement], message) is None
    whole = json.loads(text)
    whole["headers"]["said_twice"] = message.kwargsrepr
    assert template_of([(*push, json.dumps(whole)), announcement], message) is None


def test_another_broker_is_sent_what_celery_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "memory://")
    for _ in range(2):
        send()
    producers = broker._producers()
    with producers.connections.acquire() as connection:
        texts = [connection.default_channel.basic_get(QUEUE, no_ack=True).headers["id"] for _ in range(2)]
    assert (texts, producers.templates) == ([ID, ID], {})
