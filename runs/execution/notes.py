"""What a worker tells Redis of a message: that it has it, so that it comes again should the worker die, and that it
has done with it.

kombu 5.7 waits for Redis each time, before the message goes on to the pool, and a worker's main process does nothing
else meanwhile. The answer is looked at before the next message instead: by then it is there. And that it has done with
one message is said with the next, or a moment later: if that is lost the message comes again, and loses its claim.
"""

import logging
from contextlib import suppress
from time import time
from typing import Any

import redis
from kombu.asynchronous import get_event_loop
from kombu.transport import virtual
from kombu.transport.redis import Channel, QoS
from kombu.utils.json import dumps

from runs.redis_lines import Command, Lines, can_be_made_like

logger = logging.getLogger(__name__)

#: Typed by hand, as the stubs do not know what these do.
_QoS: Any = QoS
_in_memory: Any = virtual.QoS
#: How late it may be said that messages are done with, and of how many at a time.
LATEST_SECONDS, MOST_DONE = 0.2, 100


def note_without_waiting() -> None:
    """To be called once, in the main process, before it consumes."""
    channel: Any = Channel
    channel.QoS = PatientQoS


class PatientQoS(_QoS):  # type: ignore[misc]
    """kombu's, whose notes are answered later. Whatever depends on them comes after them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._known: tuple[Any, Lines | None] | None = None
        #: Tags of messages that are done with, which nobody has said.
        self._done: list[str] = []
        #: Whether that will be said without another message.
        self._is_due = False
        super().__init__(*args, **options)

    def append(self, message: Any, delivery_tag: str) -> None:
        """It has the message."""
        if (lines := self._lines()) is None:
            super().append(message, delivery_tag)
            return
        sent_to = message.delivery_info
        whole = dumps([message._raw, sent_to["exchange"], sent_to["routing_key"]])
        index, messages = self._keys
        self._note(lines, ("ZADD", index, time(), delivery_tag), ("HSET", messages, delivery_tag, whole))
        _in_memory.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """It has done with it."""
        lines, loop = self._lines(), get_event_loop()
        if lines is None:
            super().ack(delivery_tag)
            return
        self._done.append(delivery_tag)
        if loop is None or len(self._done) >= MOST_DONE:
            self._note(lines)
        elif not self._is_due:
            self._is_due = True
            loop.call_later(LATEST_SECONDS, self._say_in_time)
        _in_memory.ack(self, delivery_tag)

    def _say_in_time(self) -> None:
        """Never raises: whose connection is lost is told by whatever has to be sent next."""
        self._is_due = False
        with suppress(redis.RedisError):
            self._say_what_is_done()

    def _say_what_is_done(self) -> None:
        if self._done and (lines := self._lines()) is not None:
            self._note(lines)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """As kombu does."""
        self._settle()
        super().reject(delivery_tag, requeue=requeue)

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """As kombu does: what is done with must not come again."""
        self._settle()
        super().restore_visible(*args, **options)

    def restore_unacked(self, client: Any = None) -> None:
        """As kombu does."""
        self._settle()
        super().restore_unacked(client)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """As kombu does, at the end of a connection: what was said on it is heard before."""
        self._settle()
        super().restore_unacked_once(stderr)

    @property
    def _keys(self) -> tuple[str, str]:
        prefix = self.channel.global_keyprefix
        return prefix + self.unacked_index_key, prefix + self.unacked_key

    def _lines(self) -> Lines | None:
        """For as long as the channel has these connections; None: kombu connects in a way of its own."""
        pool = self.channel.pool
        if self._known is None or self._known[0] is not pool:
            self._known = (pool, Lines(1) if can_be_made_like(pool) else None)
        return self._known[1]

    def _note(self, lines: Lines, *commands: Command) -> None:
        """At once, with what is done. Notes can be repeated; a lost connection may have lost the last of the former."""
        (index, messages), done = self._keys, self._done
        self._done = []
        if done:
            commands = (("ZREM", index, *done), ("HDEL", messages, *done), *commands)
        commands = (("MULTI",), *commands, ("EXEC",))
        try:
            if lines.send(commands, wait=False) is not None:
                return
        except (redis.ConnectionError, redis.TimeoutError):
            logger.warning("the connection for what is told of messages was lost", exc_info=True)
        lines.send_over_another(self.channel.pool, commands, wait=False)

    def _settle(self) -> None:
        """If that fails, whatever comes next asks the same Redis."""
        if self._known is not None and self._known[1] is not None:
            with suppress(redis.RedisError):
                self._say_what_is_done()
                self._known[1].settle()
