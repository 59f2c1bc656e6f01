"""Schedulers are seen by the database on whatever host they are, and by their files on this one."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from pytest_django import Settings

from runs.heartbeats import Heart
from runs.services.schedulers import connection_name, seen_schedulers, this_host
from runs.state_dir import state_directory

#: The database answers with one look for each transaction.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_directory(settings: Settings, tmp_path: Path) -> None:
    settings.RUNS = {**settings.RUNS, "STATE_DIR": str(tmp_path / "state")}


@contextmanager
def connected(name: str) -> Iterator[None]:
    """Somebody with a connection of this name to the same database."""
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    given = {each: parameters[each] for each in names if parameters.get(each)}
    with psycopg.connect(**given, application_name=name):
        yield


def test_nobody_is_seen_where_nobody_is() -> None:
    with connected("runyard"):
        assert seen_schedulers() == []


def test_one_on_another_host_is_seen_by_the_database() -> None:
    with connected("runyard scheduler other-host:7"), connected("runyard scheduler other-host:7"):
        (found,) = seen_schedulers()
    assert (found.where, found.connected, found.is_late) == ("other-host:7", True, False)


def test_what_the_database_does_not_see_is_seen_by_its_file() -> None:
    Heart("scheduler").beat()
    file = state_directory("heartbeats") / f"scheduler-{os.getpid()}.json"
    os.utime(file, (time.time() - 60, time.time() - 60))
    (found,) = seen_schedulers()
    assert (found.where, found.connected, found.is_late) == (f"{this_host()}:{os.getpid()}", False, True)
    with connected(connection_name()):
        (found,) = seen_schedulers()
    assert (found.where, found.connected, found.is_late) == (f"{this_host()}:{os.getpid()}", True, False)
