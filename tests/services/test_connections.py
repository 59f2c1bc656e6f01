"""The executor's connection: apart from the assistant's, and asked whether it lives only where it may not."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections

from runs.execution import connections as module
from runs.execution.connections import (
    check_executors_connection,
    executors_connection,
    forget_assistants_connections,
)

pytestmark = pytest.mark.usefixtures("commits")


@pytest.fixture(autouse=True)
def executors_own(commits: None) -> Iterator[Any]:
    """In use, as after a former attempt; this process is no pool child: it goes with the test."""
    with executors_connection() as own:
        backend(own)
    yield own
    own.close()


def backend(wrapper: Any) -> int:
    """The process that serves it."""
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return int(pid)


def asked(own: Any) -> int:
    """How often a check asks the database."""
    with mock.patch.object(own, "is_usable", side_effect=own.is_usable) as is_usable:
        check_executors_connection()
    return is_usable.call_count


def test_a_connection_that_has_just_answered_is_not_asked(executors_own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 3600.0)
    before = backend(executors_own)
    check_executors_connection()
    assert asked(executors_own) == 0
    assert backend(executors_own) == before


def test_a_job_that_asks_the_database_nothing_says_nothing_of_its_connection(
    executors_own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 3600.0)
    monkeypatch.setattr(module._own, "heard_at", float("-inf"))
    with executors_connection():
        pass
    assert asked(executors_own) == 1


def test_a_connection_that_was_silent_is_asked(executors_own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.0)
    before = backend(executors_own)
    assert asked(executors_own) == 1
    assert backend(executors_own) == before


def test_a_connection_that_the_server_has_ended_is_closed(executors_own: Any) -> None:
    """Also when it was used a moment ago."""
    before = backend(executors_own)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
        assert cursor.fetchone() == (True,)
    assert asked(executors_own) == 1
    assert executors_own.connection is None
    assert backend(executors_own) != before


def test_without_a_look_at_its_socket_the_next_statement_fails(executors_own: Any) -> None:
    """The control."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend(executors_own)])
    with mock.patch.object(module, "_may_have_died", return_value=False):
        assert asked(executors_own) == 0
    with pytest.raises(Exception, match="terminating connection"):
        backend(executors_own)


def test_the_assistants_connection_is_back_after_the_block(executors_own: Any) -> None:
    theirs = connections[DEFAULT_DB_ALIAS]
    with executors_connection() as own:
        assert connections[DEFAULT_DB_ALIAS] is own is executors_own
    assert connections[DEFAULT_DB_ALIAS] is theirs


def test_none_is_made_for_an_assistant_that_has_used_none(executors_own: Any) -> None:
    theirs = connections[DEFAULT_DB_ALIAS]
    del connections[DEFAULT_DB_ALIAS]
    try:
        with executors_connection():
            assert connections.all(initialized_only=True) == [executors_own]
        assert connections.all(initialized_only=True) == []
        forget_assistants_connections()
        assert backend(executors_own) > 0
    finally:
        connections[DEFAULT_DB_ALIAS] = theirs
