"""Connections to the broker for what this process sends: pooled, bounded in time, nothing is tried twice.

Celery's own pool would not do: its connections wait as long as a consumer may, and kombu reconnects for seconds.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from zlib import crc32

from celery import current_app
from celery.app.control import Control
from kombu import Connection, Producer
from kombu.pools import ProducerPool

from runs.conf import runs_settings

POOL_SIZE = 10
#: How AMQP says that there is no such queue.
NOT_FOUND = "404"


class _OnceProducer(Producer):
    """Broadcasts ask for endless retries; here a message is sent once or not at all."""

    def publish(self, *args: Any, **options: Any) -> Any:
        return super().publish(*args, **{**options, "retry": False})


def queue_of(owner_id: Any) -> str:
    """The queue in which an owner's runs wait: the same in every process, one of RUNS["FAIR_QUEUES"]."""
    names = queue_names()
    return names[crc32(str(owner_id).encode()) % len(names)]


def queue_names() -> list[str]:
    """The queues that runs may wait in: Celery's default queue, and "<its name>.1" and so on."""
    first = current_app.conf.task_default_queue
    return [first, *(f"{first}.{number}" for number in range(1, runs_settings().FAIR_QUEUES))]


def unserved_queues() -> list[str]:
    """Of these, those from which a worker that is not told otherwise does not take."""
    return sorted(set(queue_names()) - set(current_app.amqp.queues))


class _Announcer:
    """Announces a message under the name that workers will show it by: Celery's announcement has the task's own."""

    def __init__(self, shown_as: str) -> None:
        self._shown_as = shown_as

    def publish(self, kind: str, fields: dict[str, Any], producer: Any, **options: Any) -> None:
        """As Celery's dispatcher does."""
        _dispatcher().publish(kind, {**fields, "name": self._shown_as}, producer, **options)


def send_task(name: str, *, shown_as: str, **options: Any) -> None:
    """Send the task's message within about RUNS["PUBLISH_TIMEOUT_SECONDS"], or raise.

    `shown_as` is what Flower, `celery inspect` and the workers' own log lines call it.
    """
    options |= {"shadow": shown_as, "event_dispatcher": _Announcer(shown_as)}
    with _producers().acquire(block=True, timeout=runs_settings().PUBLISH_TIMEOUT_SECONDS) as producer:
        current_app.send_task(name, producer=producer, retry=False, ignore_result=True, **options)


def broadcast(command: str, arguments: dict[str, Any]) -> None:
    """Send the control command to all workers within about RUNS["PUBLISH_TIMEOUT_SECONDS"], or raise."""
    with _control() as (control, connection):
        control.broadcast(command, arguments=arguments, connection=connection)


def revoke(task_id: str) -> None:
    """Tell all workers to discard the task's message, within the same time, or raise."""
    with _control() as (control, connection):
        control.revoke(task_id, connection=connection)


def queue_depths() -> dict[str, int]:
    """How many messages wait in each queue that tasks are sent to, within the same time, or raise."""
    with _producers().connections.acquire(block=True, timeout=runs_settings().PUBLISH_TIMEOUT_SECONDS) as connection:
        _ = connection.default_channel  # connects, within the bounds of the pool
        return {name: _depth(connection, name) for name in sorted(current_app.amqp.queues)}


def _depth(connection: Connection, name: str) -> int:
    """A queue that nobody has declared yet, or that is empty in Redis, is not found. That costs the channel."""
    channel: Any
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except connection.channel_errors as error:
            if str(getattr(error, "reply_code", None)) == NOT_FOUND:
                return 0
            raise


@contextmanager
def _control() -> Iterator[tuple[Any, Connection]]:
    producers = _producers()
    control: Any = Control(current_app)
    control.mailbox.producer_pool = producers
    with producers.connections.acquire(block=True, timeout=runs_settings().PUBLISH_TIMEOUT_SECONDS) as connection:
        yield control, connection


def _producers() -> ProducerPool:
    return _pool(current_app.conf.broker_write_url, runs_settings().PUBLISH_TIMEOUT_SECONDS)


@lru_cache(maxsize=1)
def _pool(url: str, seconds: float) -> ProducerPool:
    options: dict[str, Any] = {"max_retries": 0}
    if url.startswith(("redis", "valkey")):
        options |= {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry_on_timeout": False}
    connection = current_app.connection_for_write(url, connect_timeout=seconds, transport_options=options)
    return ProducerPool(connection.Pool(limit=POOL_SIZE), limit=POOL_SIZE, Producer=_OnceProducer)


@lru_cache(maxsize=1)
def _dispatcher() -> Any:
    return current_app.events.Dispatcher(enabled=False)  # not enabled: it has no connection of its own


def _begin_anew() -> None:
    """A forked child must not write to its parent's sockets, nor announce in its name."""
    _pool.cache_clear()
    _dispatcher.cache_clear()


os.register_at_fork(after_in_child=_begin_anew)
