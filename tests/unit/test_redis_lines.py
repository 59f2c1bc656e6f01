"""Commands that are put together already, on a real Redis: sent once and in order, whoever waits for the answers."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from runs.redis_lines import Lines
from runs.streaming import connection

KEY = "tests:redis-lines"


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        client.delete(KEY)
        yield client
        client.delete(KEY, f"{KEY}:other")


@pytest.fixture
def lines(client: redis.Redis) -> Iterator[Lines]:
    """One, open."""
    lines = Lines(2)
    lines.open(client.connection_pool)
    yield lines
    lines.close()


def push(lines: Lines, *values: str, wait: bool = True) -> bool:
    return lines.send([("RPUSH", KEY, value) for value in values], wait=wait) is not None


def test_what_nobody_waits_for_comes_before_what_is_sent_later(lines: Lines, client: redis.Redis) -> None:
    assert all(push(lines, str(number), wait=False) for number in range(100))
    assert push(lines, "last", "of all")
    assert client.lrange(KEY, 0, -1) == [*map(str, range(100)), "last", "of all"]


def test_the_answers_are_those_to_what_was_sent(lines: Lines) -> None:
    assert lines.send([("RPUSH", KEY, "1")], wait=False) == []
    assert lines.send([("RPUSH", KEY, "2"), ("LRANGE", KEY, 0, -1)]) == [2, ["1", "2"]]
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lines.send([("MULTI",), ("SET", f"{KEY}:other", "1"), ("HSET", KEY, "a", "b"), ("EXEC",)])


def test_what_is_wrong_with_it_is_found_by_who_sends_next(lines: Lines, client: redis.Redis) -> None:
    client.set(KEY, "no list")
    assert push(lines, "first", wait=False)
    client.delete(KEY)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        push(lines, "second")
    assert not client.exists(KEY)
    assert not push(lines, "third")  # there is no connection any more


def test_every_answer_is_read_before_one_is_raised(lines: Lines, client: redis.Redis) -> None:
    client.set(KEY, "no list")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lines.send([("RPUSH", KEY, "1"), ("SET", KEY, "2")])
    assert client.get(KEY) == "2"


def cut(lines: Lines, client: redis.Redis) -> None:
    """Redis closes the connection."""
    (line,) = lines._idle
    address = f":{line._connection._sock.getsockname()[1]}"
    (ours,) = [one["id"] for one in client.client_list() if one["addr"].endswith(address)]
    assert client.client_kill_filter(_id=ours) == 1


def test_a_connection_that_redis_has_closed_is_not_used(lines: Lines, client: redis.Redis) -> None:
    assert push(lines, "first", wait=False)
    assert push(lines, "second")
    cut(lines, client)
    assert not push(lines, "third")
    assert client.lrange(KEY, 0, -1) == ["first", "second"]


def test_who_is_disconnected_at_once_is_told_so_and_does_not_try_for_ever(client: redis.Redis) -> None:
    """As by what stands between, with nothing behind it."""

    class Closed(redis.Connection):
        def connect(self) -> None:
            super().connect()  # type: ignore[no-untyped-call]
            vars(self)["_sock"].shutdown(socket.SHUT_RDWR)

    lines, pool = Lines(2), client.connection_pool
    closing = redis.ConnectionPool(connection_class=Closed, **pool.connection_kwargs)
    with pytest.raises(redis.ConnectionError):
        lines.send_over_another(closing, [("RPUSH", KEY, "1")])
    assert not lines._idle
    assert lines.send_over_another(pool, [("RPUSH", KEY, "2")]) == [1]
    assert push(lines, "3")
    assert client.lrange(KEY, 0, -1) == ["2", "3"]


def test_what_nobody_waits_for_may_be_lost_with_its_connection(lines: Lines, client: redis.Redis) -> None:
    client.client_pause(60_000, all=False)
    try:
        assert push(lines, "first", wait=False)
        cut(lines, client)
        assert not push(lines, "second")
    finally:
        client.client_unpause()
    assert client.lrange(KEY, 0, -1) == []


def test_no_more_are_kept_than_there_may_be(lines: Lines, client: redis.Redis) -> None:
    for _ in range(3):
        lines.open(client.connection_pool)
    assert (len(lines._idle), lines.is_full) == (2, True)


def test_hints_go_over_connections_of_their_own_process(client: redis.Redis) -> None:
    """A forked child leaves its parent's connection alone, and its parent can go on."""
    connection.hint(("RPUSH", KEY, "parent"), wait=False)
    pid = os.fork()
    if pid == 0:
        try:
            connection.hint(("RPUSH", KEY, "child"))
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    connection.hint(("RPUSH", KEY, "parent again"))
    assert client.lrange(KEY, 0, -1) == ["parent", "child", "parent again"]


def test_a_redis_that_stands_still_is_waited_for_once(client: redis.Redis) -> None:
    """And not at all by who does not wait. What was not sent then is not sent later."""
    lines = Lines(1)
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=connection.HINT_SECONDS) as impatient:
        lines.open(impatient.connection_pool)
    client.client_pause(60_000, all=False)
    try:
        assert push(lines, "1", wait=False)
        with pytest.raises(redis.TimeoutError):
            push(lines, "2")
        assert not push(lines, "3")
    finally:
        client.client_unpause()
    assert "2" not in client.lrange(KEY, 0, -1)


def test_many_threads_send_each_once(client: redis.Redis) -> None:
    threads = [threading.Thread(target=connection.hint, args=(("RPUSH", KEY, str(n)),)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, client.lrange(KEY, 0, -1))) == list(range(40))
