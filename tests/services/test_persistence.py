"""An executor's writes while the database is away for a moment, and when it says no."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError
from psycopg import errors

from runs.execution import persistence
from runs.execution.connections import executors_connection
from runs.execution.persistence import persist
from runs.states import RunStatus
from tests.support.factories import finish, history, make_thread, running, stored

pytestmark = pytest.mark.usefixtures("commits", "intact")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits are not what is tested."""
    monkeypatch.setattr(persistence, "FIRST_WAIT_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def executors_own_connection(commits: None) -> Iterator[None]:
    """This process is no pool child: the connection goes with the test."""
    yield
    with executors_connection() as own:
        own.close()


class Database:
    """Fails as it is told, and then writes."""

    def __init__(self, *failures: Exception) -> None:
        self.run = running(make_thread())
        self.failures = list(failures)
        self.calls = 0

    def finish(self) -> None:
        """End the run, unless there are failures left."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        finish(self.run)


def refusal(cause: Exception) -> OperationalError:
    """Django's error for one of the driver's."""
    error = OperationalError(str(cause))
    error.__cause__ = cause
    return error


def test_an_end_is_stored_once_the_database_is_back() -> None:
    database = Database(OperationalError("the connection is lost"), refusal(errors.LockNotAvailable()))
    persist(database.finish)
    assert database.calls == 3
    assert stored(database.run).status == RunStatus.SUCCESS
    assert history(database.run)[-1] == ("running", "success")


def test_what_the_database_will_never_take_is_tried_once() -> None:
    database = Database(refusal(errors.ProgramLimitExceeded()))
    with pytest.raises(OperationalError):
        persist(database.finish)
    assert database.calls == 1
    assert stored(database.run).status == RunStatus.RUNNING
    finish(database.run)


def test_nobody_waits_for_a_write_that_is_not_wanted_any_more() -> None:
    database = Database(OperationalError("the connection is lost"))
    with pytest.raises(OperationalError):
        persist(database.finish, give_up=lambda: True)
    assert database.calls == 1
