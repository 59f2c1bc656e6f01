"""Connections to Redis over which commands are sent that are put together already.

A client of redis-py does the same and more: it takes longer to look for what it has to do than to do it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis import ConnectionPool

Command = tuple[Any, ...]


def can_be_made_like(pool: ConnectionPool) -> bool:
    """Not with credentials that change, nor where somebody has to be asked for the address first."""
    return type(pool) is ConnectionPool and pool.connection_kwargs.get("credential_provider") is None


class Lines:
    """Those that nobody uses at present, so many at most. They are made as a pool makes its own, and are not of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: deque[_Line] = deque()

    @property
    def is_full(self) -> bool:
        """Whether there are as many as are kept."""
        return len(self._idle) >= self._limit

    def open(self, pool: ConnectionPool) -> None:
        """Have one more, or raise."""
        self._put(_opened(pool))

    def send(self, commands: Sequence[Command], *, wait: bool = True) -> list[Any] | None:
        """Send these at once, and once; what Redis answers, an error is raised. None: there is no connection for it.

        `wait` False: there are no answers; whoever sends next finds what is wrong with it.
        """
        line = self._taken()
        return None if line is None else self._send_over(line, commands, wait=wait)

    def send_over_another(self, pool: ConnectionPool, commands: Sequence[Command], *, wait: bool = True) -> list[Any]:
        """The same over a connection that is opened for it; if that is lost at once, no other is tried."""
        return self._send_over(_opened(pool), commands, wait=wait)

    def _taken(self) -> "_Line | None":
        """The one that was used last, if it is open still."""
        try:
            line = self._idle.pop()
        except IndexError:
            return None
        with self._given_up_with(line):
            if line.is_quiet():
                return line
        line.close()
        return None

    def _send_over(self, line: "_Line", commands: Sequence[Command], *, wait: bool) -> list[Any]:
        with self._given_up_with(line):
            line.send(commands)
            answers = line.read() if wait else []
        self._put(line)
        return answers

    @contextmanager
    def _given_up_with(self, line: "_Line") -> Iterator[None]:
        """If the block fails, so would the others."""
        try:
            yield
        except BaseException:
            line.close()
            self.close()
            raise

    def settle(self) -> None:
        """Have everything done that nobody has waited for, or raise what is wrong with it."""
        try:
            for line in list(self._idle):
                line.read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Who has failed over one connection is not asked over the others."""
        while self._idle:
            self._idle.pop().close()

    def _put(self, line: "_Line") -> None:
        if self.is_full:
            line.close()
        else:
            self._idle.append(line)


def _opened(pool: ConnectionPool) -> "_Line":
    connection: Any = pool.connection_class(**pool.connection_kwargs)
    connection.connect()
    return _Line(connection)


class _Line:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        #: How many answers nobody has waited for.
        self._unread = 0

    def is_quiet(self) -> bool:
        """Whether Redis has nothing to say but answers; what it says unasked is that it closes the connection."""
        with suppress(redis.ConnectionError):  # with it goes what nobody waits for, as it may
            if self._unread:
                self.read()
            return not self._connection.can_read()
        return False

    def send(self, commands: Sequence[Command]) -> None:
        self._unread += len(commands)
        self._connection.send_packed_command(self._connection.pack_commands(commands))

    def read(self) -> list[Any]:
        """Every answer is read before an error is raised."""
        answers = []
        while self._unread:
            self._unread -= 1
            answers.append(self._answer())
        for answer in answers:
            _raise_errors(answer if type(answer) is list else (answer,))  # of a transaction, or not
        return answers

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            return error

    def close(self) -> None:
        self._connection.disconnect()


def _raise_errors(answers: Sequence[Any]) -> None:
    for answer in answers:
        if isinstance(answer, redis.ResponseError):
            raise answer
