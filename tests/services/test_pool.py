"""The pool of a web process: a connection is asked whether it lives only where it may not."""

import time
from collections.abc import Iterator
from unittest import mock

import psycopg
import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from project.pooled import QUIET_SECONDS, PooledConnection

Pool = ConnectionPool[PooledConnection]
pytestmark = pytest.mark.django_db


@pytest.fixture
def pool() -> Iterator[Pool]:
    """One connection, as Django's pool has it."""
    params = {**connection.get_connection_params(), "autocommit": True}
    check = ConnectionPool.check_connection
    with ConnectionPool(
        connection_class=PooledConnection, kwargs=params, min_size=1, max_size=1, check=check, timeout=10
    ) as pool:
        yield pool


def take(pool: Pool) -> tuple[int, int]:
    """Take the connection up; its process in the database, and how often it was asked whether it lives."""
    with (
        mock.patch.object(
            psycopg.Connection, "execute", autospec=True, side_effect=psycopg.Connection.execute
        ) as asked,
        pool.connection() as taken,
    ):
        return taken.info.backend_pid, asked.call_count


def test_a_connection_that_was_just_used_is_not_asked(pool: Pool) -> None:
    first, _ = take(pool)
    assert take(pool) == (first, 0)


def test_a_connection_that_was_quiet_is_asked(pool: Pool) -> None:
    taken = pool.getconn()
    taken._heard_at = time.monotonic() - QUIET_SECONDS - 1
    pool.putconn(taken)
    assert take(pool) == (taken.info.backend_pid, 1)


def test_a_connection_that_the_server_has_ended_is_replaced(pool: Pool) -> None:
    """Also when it was used a moment ago."""
    first, _ = take(pool)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        assert cursor.fetchone() == (True,)
    second, asked = take(pool)
    assert second != first
    assert asked == 2  # the dead one, and its successor, of which nothing was heard yet


def test_without_a_check_a_connection_that_the_server_has_ended_is_given_out(pool: Pool) -> None:
    """The control."""
    first, _ = take(pool)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    with mock.patch.object(PooledConnection, "_is_alive", return_value=True):
        assert take(pool) == (first, 0)
