"""One PostgreSQL and one Redis per session, started before Django reads its settings."""

import os
import signal
from collections.abc import Generator, Iterator

import django
import pytest

from tests.support import logs
from tests.support.engines import SessionEngines, with_database

_ENGINES = pytest.StashKey[SessionEngines]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the engines, then Django; pytest-django, whose hook of this name runs last, takes it from there.

    Every process of a distributed session has engines of its own, but not the one that only distributes: pytest-django
    in the others would take what it has left in their environment, and Django there would use its engines.
    """
    if _only_distributes(config):
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)  # set by an import of `project`
        return
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background; tests press Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    engines = config.stash[_ENGINES] = SessionEngines()
    try:
        engines.start()
    except BaseException:
        engines.stop()
        raise
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop them, also after Ctrl-C. If the session is killed, the kernel ends them with it."""
    if _ENGINES in config.stash:
        config.stash[_ENGINES].stop()


def _only_distributes(config: pytest.Config) -> bool:
    return config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the processes of its test have written."""
    report = yield
    if report.failed:
        logs.add_logs(report, logs.began(call), item.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="session")
def engines(pytestconfig: pytest.Config) -> SessionEngines:
    """The engines of this session. Who stops one starts it again before the end of the test."""
    return pytestconfig.stash[_ENGINES]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """From here on DATABASE_URL names the test database, so that workers started by a test find it."""
    from django.db import connection

    former = os.environ["DATABASE_URL"]
    os.environ["DATABASE_URL"] = with_database(former, connection.settings_dict["NAME"])
    yield
    os.environ["DATABASE_URL"] = former


@pytest.fixture(autouse=True)
def closed_breaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A publish, or a wake, that failed in one test must not silence the next."""
    from runs import dispatch
    from runs.streaming import notify
    from runs.streaming.connection import Breaker

    monkeypatch.setattr(dispatch, "_breaker", dispatch._Breaker())
    monkeypatch.setattr(notify, "_breaker", Breaker())
    yield
    dispatch._breaker.close()
