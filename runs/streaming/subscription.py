"""What a process listens on: one connection to Redis, subscribed to many channels.

redis-py's PubSub spends more on a message than everything that follows from it: it is made for handlers, patterns and
retries, and connects again by itself. The hub does that, and knows what to subscribe to then. Its way to send a command
waits for the socket, so that each would need a task that no client's end can break off; they are a few bytes.
"""

import math
from typing import Any

import redis.asyncio


class Subscription:
    """Commands may be sent while a task reads; each is written whole and at once, and answered by a message."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def over(cls, client: "redis.asyncio.Redis") -> "Subscription":
        """A subscription over a connection of this client's pool, with which it ends."""
        pool: Any = client.connection_pool
        return cls(await pool.get_connection())

    def subscribe(self, *channels: str) -> None:
        """Hear what is published on these channels."""
        self._send("SUBSCRIBE", *channels)

    def unsubscribe(self, *channels: str) -> None:
        """Hear no more of these channels."""
        self._send("UNSUBSCRIBE", *channels)

    def ping(self) -> None:
        """Have Redis say something."""
        self._send("PING")

    def _send(self, *command: str) -> None:
        """What is written to a connection that is lost has no effect; its reader is told."""
        if (writer := self._connection._writer) is not None:
            writer.writelines(self._connection.pack_command(*command))

    async def next(self) -> list[Any]:
        """What is heard next: its kind, the channel, and for a "message" what was published. Waits for ever.

        Raises redis.ConnectionError when the connection is lost.
        """
        # inf: for a time limit redis-py would make a timer for each message
        heard = await self._connection.read_response(timeout=math.inf, disconnect_on_error=False, push_request=True)
        return heard if isinstance(heard, list) else ["pong", ""]  # RESP3 answers a ping with a word
