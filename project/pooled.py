"""Connections of the pool of a web process, which a request takes up several times."""

import select
import time
from typing import Any

import psycopg
from django.utils.functional import cached_property

#: After this long without a word from the server it may have gone without one.
QUIET_SECONDS = 5.0


class PooledConnection(psycopg.Connection[Any]):
    """Answers the pool's check itself while nothing speaks against it; a round trip each time it is taken up is dear.

    A server that ends a session says so, or its kernel does: there is something to read then, and the check is sent.
    """

    _heard_at = float("-inf")

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for the server, and remember when it has answered."""
        result = super().wait(*args, **kwargs)
        self._heard_at = time.monotonic()
        return result

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> "psycopg.Cursor[Any]":
        """Execute the query, except the empty one (`ConnectionPool.check_connection`) of a connection that lives."""
        if query == "" and self._is_alive():
            return self._untouched
        return super().execute(query, *args, **kwargs)

    @cached_property
    def _untouched(self) -> "psycopg.Cursor[Any]":
        """The answer to every check, from which the pool reads nothing."""
        return self.cursor()

    def _is_alive(self) -> bool:
        if self.closed or time.monotonic() - self._heard_at > QUIET_SECONDS:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)
