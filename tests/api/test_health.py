"""/health: what is down is named, in bounded time, and nothing else is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from pytest_django import Settings

from runs import health

UP = {"database": "up", "migrations": "up", "redis": "up"}


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer of an earlier test is on its way or remembered."""
    monkeypatch.setattr(health, "_applied", threading.Event())
    questions = {"database": health.database, "migrations": health.migrations, "redis": health.redis_server}
    monkeypatch.setattr(health, "_PROBES", {name: health.Probe(question) for name, question in questions.items()})


def ready(query: str = "") -> tuple[int, str, dict[str, str]]:
    answer = Client().get(f"/health/ready{query}")
    return answer.status_code, answer.json()["status"], answer.json()["checks"]


def fail() -> str:
    raise OperationalError("password=secret host=db.internal")


@contextmanager
def deaf_server() -> Iterator[str]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_live_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "check", fail)

    answer = Client().get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_ready_when_everything_answers() -> None:
    assert ready() == (200, "ready", UP)
    assert ready() == (200, "ready", UP)


def test_the_database_is_down_and_its_address_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(health._PROBES, "database", health.Probe(fail))
    monkeypatch.setitem(health._PROBES, "migrations", health.Probe(fail))

    answer = Client().get("/health/ready?degraded=ok")

    assert answer.status_code == 503
    down = {"database": "down", "migrations": "down", "redis": "up"}
    assert answer.json() == {"status": "unavailable", "checks": down}


def test_a_migration_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [("0005", False)])

    assert ready() == (503, "unavailable", {**UP, "migrations": "unapplied"})


def test_redis_refuses(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.REDIS_URL = f"redis://:secret@127.0.0.1:{port}/0"

    assert ready() == (503, "degraded", {**UP, "redis": "down"})
    assert ready("?degraded=ok") == (200, "degraded", {**UP, "redis": "down"})


def test_what_never_answers_is_down_and_costs_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.2)
    released = threading.Event()

    def never() -> str:
        released.wait(30)
        return "up"

    monkeypatch.setitem(health._PROBES, "redis", health.Probe(never))
    found = [ready() for _ in range(3)]
    waiting = [thread for thread in threading.enumerate() if thread.name == "runs-health-never"]
    released.set()

    assert [status for status, *_ in found] == [503] * 3
    assert {checks["redis"] for *_, checks in found} == {"down"}
    assert len(waiting) == 1


def test_a_deaf_redis_is_down(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ready() == (200, "ready", UP)  # the migrations are remembered; reading them may outlast this test's patience
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.3)
    with deaf_server() as url:
        settings.REDIS_URL = url
        assert ready() == (503, "degraded", {**UP, "redis": "down"})


def test_an_unknown_option_is_refused() -> None:
    assert Client().get("/health/ready?degraded=never").status_code == 422
