"""Connections to the broker for what this process sends: pooled, bounded in time, nothing is tried twice.

Celery's own pool would not do: its connections wait as long as a consumer may, and kombu reconnects for seconds.
"""

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from zlib import crc32

import redis
from celery import current_app
from celery.app.control import Control
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.pools import ProducerPool
from kombu.transport.redis import Channel

from runs.broker_messages import Message, Template, are_left_alone, commands_in, template_of
from runs.conf import runs_settings
from runs.redis_lines import Lines, can_be_made_like

POOL_SIZE = 10
#: How AMQP says that there is no such queue.
NOT_FOUND = "404"


class _OnceProducer(Producer):
    """Broadcasts ask for endless retries; here a message is sent once or not at all.

    What kombu does again for each message, and takes longer for than for the message, is done once a connection.
    """

    def publish(self, *args: Any, **options: Any) -> Any:
        return super().publish(*args, **{**options, "retry": False})

    def maybe_declare(self, entity: Any, *args: Any, **options: Any) -> Any:
        """What has been declared is not copied, as kombu does before it looks."""
        connection: Any = self.connection
        if connection and entity and entity.can_cache_declaration and hash(entity) in connection.declared_entities:
            return False
        return super().maybe_declare(entity, *args, **options)


def keep_clients() -> None:
    """Have channels to Redis keep their clients, in this process.

    kombu 5.7 makes a client of redis-py for whatever a channel sends, a message or an acknowledgement. It has no state
    besides the channel's pool of connections, and making it costs as much as sending.
    """
    channel: Any = Channel
    create = channel._create_client
    if hasattr(create, "is_kept"):
        return

    def create_once(self: Any, asynchronous: bool = False) -> Any:
        if asynchronous:  # kombu keeps that one itself
            return create(self, asynchronous)
        kept = vars(self).get("_kept_client")
        if kept is None or kept.connection_pool is not self.pool:  # a channel that reconnects has a new pool
            kept = self._kept_client = create(self)
        return kept

    create_once.is_kept = True  # type: ignore[attr-defined]
    channel._create_client = create_once


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


class _Producers(ProducerPool):
    """Those of one connection to the broker; and beside them, if that is Redis, what is known from using them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lines = Lines(POOL_SIZE)
        self.templates: dict[Hashable, Template | None] = {}


class _Announcer:
    """Announces a message under the name that workers will show it by: Celery's announcement has the task's own."""

    def __init__(self, shown_as: str) -> None:
        self._shown_as = shown_as

    def publish(self, kind: str, fields: dict[str, Any], producer: Any, **options: Any) -> None:
        """As Celery's dispatcher does."""
        _dispatcher().publish(kind, {**fields, "name": self._shown_as}, producer, **options)


def send_task(name: str, *, task_id: str, args: Sequence[str], shown_as: str, **options: Any) -> None:
    """Send the task's message within about RUNS["PUBLISH_TIMEOUT_SECONDS"], or raise.

    The message and its announcement leave together, where the broker can do that. `shown_as` is what Flower,
    `celery inspect` and the workers' own log lines call it.
    """
    reprs = {key: options.pop(key, "") for key in ("argsrepr", "kwargsrepr")}
    message, kind, producers = Message(task_id, args, shown_as, **reprs), (name, repr(options)), _producers()
    template = producers.templates.get(kind) if are_left_alone() else None
    if template is None or not _is_filled_in(producers, template, message):
        _send_as_celery(producers, name, message, kind, options)


def _is_filled_in(producers: _Producers, template: Template, message: Message) -> bool:
    """Whether it was sent over a connection that is open; whatever goes wrong then, it is not tried again."""
    try:
        return producers.lines.send(template.filled(message)) is not None
    except redis.RedisError as error:
        producers.templates.clear()  # whoever answers next may not know the queues
        raise OperationalError(str(error)) from error


def _send_as_celery(
    producers: _Producers, name: str, message: Message, kind: Hashable, options: dict[str, Any]
) -> None:
    """Celery knows how; what it does for Redis is kept, for the next message of this kind."""
    announcer = _Announcer(message.shown_as)
    with producers.acquire(block=True, timeout=runs_settings().PUBLISH_TIMEOUT_SECONDS) as producer:
        with producer.batch() as batch:  # type: ignore[attr-defined] # kombu 5.7's; its stubs are older
            current_app.send_task(
                name,
                producer=producer,
                retry=False,
                ignore_result=True,
                event_dispatcher=announcer,
                **message.as_celery_has_it,
                **options,
            )
            commands = commands_in(batch.state.session)
        if commands and kind not in producers.templates:
            producers.templates[kind] = template_of(commands, message)
        if producers.templates.get(kind) is not None:
            _open_line(producers.lines, batch.state.session.channel.pool)


def _open_line(lines: Lines, like: redis.ConnectionPool) -> None:
    """For the next message; kombu has other ways to connect, too."""
    if not lines.is_full and can_be_made_like(like):
        with suppress(redis.RedisError):  # this message was sent; the next may find a broker that is away
            lines.open(like)


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


def _producers() -> _Producers:
    return _pool(runs_settings().PUBLISH_TIMEOUT_SECONDS)


@lru_cache(maxsize=1)
def _pool(seconds: float) -> _Producers:
    keep_clients()
    url = current_app.conf.broker_write_url
    options: dict[str, Any] = {"max_retries": 0}
    if url.startswith(("redis", "valkey")):
        options |= {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry_on_timeout": False}
    connection = current_app.connection_for_write(url, connect_timeout=seconds, transport_options=options)
    return _Producers(connection.Pool(limit=POOL_SIZE), limit=POOL_SIZE, Producer=_OnceProducer)


@lru_cache(maxsize=1)
def _dispatcher() -> Any:
    return current_app.events.Dispatcher(enabled=False)  # not enabled: it has no connection of its own


def _begin_anew() -> None:
    """A forked child must not write to its parent's sockets, nor announce in its name."""
    _pool.cache_clear()
    _dispatcher.cache_clear()


os.register_at_fork(after_in_child=_begin_anew)
