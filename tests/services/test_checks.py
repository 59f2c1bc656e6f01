"""Settings under which a promise would not hold are refused."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.core.checks import run_checks
from django.db import OperationalError, connection
from pytest_django import Settings

from runs import checks
from runs.streaming.connection import listener


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


QUEUE = (
    "worker_pool",
    "broker_url",
    "broker_transport_options",
    "task_acks_late",
    "task_reject_on_worker_lost",
    "task_time_limit",
    "worker_prefetch_multiplier",
)


@pytest.mark.parametrize(
    ("name", "unsafe", "refused"),
    [
        ("task_acks_late", False, "runs.E020"),
        ("task_reject_on_worker_lost", False, "runs.E021"),
        ("worker_prefetch_multiplier", 4, "runs.E022"),
        ("worker_prefetch_multiplier", 0, "runs.E022"),
    ],
)
def test_a_queue_that_would_lose_or_park_messages(
    name: str, unsafe: Any, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe = {known: getattr(current_app.conf, known) for known in QUEUE}
    monkeypatch.setattr(checks, "current_app", SimpleNamespace(conf=SimpleNamespace(**{**safe, name: unsafe})))
    assert found() == [refused]
    what, because, why = run_checks(tags=["runs"])[0].msg.partition(": ")
    assert (name.upper() in what, because, len(why) > 0) == (True, ": ", True)


@pytest.mark.parametrize("engine", ["mysql", "sqlite3", "oracle"])
def test_other_databases(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", f"django.db.backends.{engine}")
    assert found() == ["runs.E010"]


@pytest.mark.parametrize("age", [60, None])
def test_persistent_connections(age: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "CONN_MAX_AGE", age)
    assert found() == ["runs.E011"]


def test_statements_that_could_not_be_sent_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", {"server_side_binding": True})
    assert found() == ["runs.E013"]


@pytest.mark.parametrize(
    ("ttl", "longest", "refused"),
    [(3599.0, 3600.0, ["runs.E033"]), (3600.0, 3600.0, []), (0.0, 3600.0, [])],
)
def test_no_run_may_outlast_its_stream(ttl: float, longest: float, refused: list[str], settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "STREAM_TTL_SECONDS": ttl, "MAX_RUN_SECONDS": longest}
    assert found() == refused


def test_a_socket_timeout_on_whoever_listens(settings: Settings) -> None:
    settings.REDIS_URL = "redis://h:6379/0?socket_timeout=5"
    assert found() == ["runs.E025"]


def test_the_listener_has_no_socket_timeout() -> None:
    assert listener().connection_pool.connection_kwargs["socket_timeout"] is None


@pytest.mark.parametrize(("seconds", "refused"), [(1.0, ["runs.E026"]), (0.5, ["runs.E026"]), (10, []), (None, [])])
def test_a_socket_timeout_on_whoever_waits_for_messages(
    seconds: float | None, refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"visibility_timeout": 12 * 3600, "socket_timeout": seconds}
    monkeypatch.setitem(current_app.conf, "broker_transport_options", options)
    assert found() == refused


@pytest.mark.parametrize(
    ("pool", "custom", "refused"),
    [
        ("prefork", None, []),
        ("custom", "runs.execution.loops.pool:LoopPool", []),
        ("gevent", None, ["runs.E028"]),
        ("threads", None, ["runs.E028"]),
        ("custom", "celery.concurrency.solo:TaskPool", ["runs.E028"]),
        ("custom", "nobody.has:this", ["runs.E028"]),
    ],
)
def test_pools_that_cannot_end_a_run(
    pool: str, custom: str | None, refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery's threads and gevent ignore revokes, and nothing can be killed in them but all."""
    monkeypatch.setitem(current_app.conf, "worker_pool", pool)
    if custom is not None:
        monkeypatch.setenv("CELERY_CUSTOM_WORKER_POOL", custom)
    assert found() == refused
