"""Settings under which a promise would not hold are refused."""

from typing import Any

import pytest
from celery import current_app
from django.core.checks import run_checks
from django.db import OperationalError, connection
from pytest_django import Settings


def found(databases: list[str] | None = None) -> list[str | None]:
    """The ids of what the app's checks refuse."""
    return [message.id for message in run_checks(tags=["runs"], databases=databases)]


@pytest.mark.parametrize(
    ("url", "options", "longest", "refused"),
    [
        ("redis://h", {"visibility_timeout": 3601}, 3600.0, []),
        ("redis://h", {"visibility_timeout": 3600}, 3600.0, ["runs.E023"]),
        ("redis://h", {}, 3600.0, ["runs.E023"]),
        ("valkey://h", None, 7200.0, ["runs.E023"]),
        ("redis://h", {}, 3599.0, []),
        ("amqp://h", {}, 3600.0, []),
    ],
)
def test_no_run_may_outlast_the_time_in_which_its_message_is_delivered_again(
    *,
    url: str,
    options: Any,
    longest: float,
    refused: list[str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.RUNS = {**settings.RUNS, "MAX_RUN_SECONDS": longest}
    monkeypatch.setattr(current_app.conf, "broker_url", url)
    monkeypatch.setitem(current_app.conf, "broker_transport_options", options)
    monkeypatch.setitem(current_app.conf, "task_time_limit", longest + 1)
    assert found() == refused


def set_isolation(level: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('default_transaction_isolation', %s, false)", [level])


@pytest.mark.parametrize(
    ("level", "refused"),
    [("read committed", []), ("repeatable read", ["runs.E012"]), ("serializable", ["runs.E012"])],
)
def test_the_database_must_be_read_committed(level: str, refused: list[str], commits: None) -> None:
    set_isolation(level)
    try:
        assert found(["default"]) == refused
        assert found() == []
    finally:
        set_isolation("read committed")


def test_a_database_that_is_away_is_no_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError

    with monkeypatch.context() as outage:
        outage.setattr(connection, "cursor", away)
        assert found(["default"]) == []


def test_a_database_that_has_gone_is_noticed() -> None:
    options = connection.settings_dict["OPTIONS"]
    assert (options["connect_timeout"], options["keepalives"], options["tcp_user_timeout"]) == (5, 1, 10_000)
    assert connection.connection.info.get_parameters()["tcp_user_timeout"] == "10000"
