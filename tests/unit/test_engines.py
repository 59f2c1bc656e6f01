"""The embedded engines: real servers that survive what newcomers do to them."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from project.local.engines import started_engines
from project.local.errors import CannotStart
from project.local.home import Home
from project.local.postgres import MAX_CONNECTIONS, Postgres
from project.local.valkey import Valkey


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name: the path of a Unix socket has room for a hundred characters."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture
def postgres(place: Path) -> Iterator[Postgres]:
    server = Postgres(place / "with space" / "postgres", log=place / "postgres.log", password="secret")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "with space" / "redis", log=tmp_path / "redis.log", password="secret")
    server.start()
    yield server
    server.stop()


def ask(server: Postgres, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(server.url) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_postgres_is_durable_roomy_and_on_a_socket_that_only_its_owner_reaches(postgres: Postgres) -> None:
    settings = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'listen_addresses', 'max_connections')"

    assert dict(ask(postgres, settings)) == {
        "fsync": "on",
        "listen_addresses": "",
        "max_connections": str(MAX_CONNECTIONS),
    }
    assert postgres.data.stat().st_mode & 0o777 == 0o700


def test_postgres_keeps_what_was_committed_before_a_kill(postgres: Postgres) -> None:
    ask(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")

    postgres.kill()
    assert (postgres.data / "postmaster.pid").exists()
    postgres.start()

    assert ask(postgres, "SELECT answer FROM kept") == [(42,)]


def test_postgres_is_not_confused_by_a_stale_pid_that_another_program_has_now(postgres: Postgres) -> None:
    postgres.kill()
    stale = postgres.data / "postmaster.pid"
    stale.write_text("\n".join([str(os.getpid()), *stale.read_text().splitlines()[1:]]) + "\n")

    postgres.start()

    assert ask(postgres, "SELECT 1") == [(1,)]


def test_engines_take_over_from_those_whose_supervisor_was_killed(postgres: Postgres, valkey: Valkey) -> None:
    assert postgres.process is not None
    assert valkey.process is not None
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", 42)

    next_postgres = Postgres(postgres.data, log=postgres.log, password=postgres.password)
    next_valkey = Valkey(valkey.data, log=valkey.log, password=valkey.password)
    next_postgres.start()
    next_valkey.start()

    assert (postgres.process.wait(10), valkey.process.wait(10)) == (0, 0)
    assert ask(next_postgres, "SELECT 1") == [(1,)]
    with redis.Redis.from_url(next_valkey.url) as client:
        assert client.get("kept") == b"42"
    next_postgres.stop()
    next_valkey.stop()


def test_postgres_under_a_long_path_listens_on_loopback_and_asks_for_the_password(tmp_path: Path) -> None:
    server = Postgres(tmp_path / ("deep" * 30) / "postgres", log=tmp_path / "log", password="secret", durable=False)
    server.start()
    try:
        assert ask(server, "SHOW listen_addresses") == [("127.0.0.1",)]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url.replace("secret", "wrong"))
    finally:
        server.stop()


def test_an_interrupted_setup_is_begun_anew(tmp_path: Path) -> None:
    half_made = tmp_path / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")

    server = Postgres(tmp_path / "postgres", log=tmp_path / "log", password="secret", durable=False)
    server.start()
    server.stop()

    assert not half_made.exists()


def test_postgres_that_cannot_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text("9.6\n")

    with pytest.raises(CannotStart, match="PostgreSQL does not start"):
        Postgres(data, log=tmp_path / "log", password="secret").start()


def test_stopping_leaves_no_process(postgres: Postgres, valkey: Valkey) -> None:
    assert postgres.process is not None
    assert valkey.process is not None
    family = [psutil.Process(postgres.process.pid), psutil.Process(valkey.process.pid)]
    family += family[0].children(recursive=True)

    postgres.stop()
    valkey.stop()

    assert [process for process in family if process.is_running()] == []
    assert not (postgres.data / "postmaster.pid").exists()
    assert (postgres.process.returncode, valkey.process.returncode) == (0, 0)


def test_redis_keeps_its_data_over_a_restart_and_asks_for_the_password(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", 42)

    valkey.stop()
    valkey.start()

    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("kept") == b"42"
    with redis.Redis.from_url(valkey.url.replace("secret", "wrong")) as stranger, pytest.raises(redis.RedisError):
        stranger.ping()


def test_where_the_machine_has_no_redis_the_wheel_brings_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = Valkey(tmp_path / "redis", log=tmp_path / "redis.log", password="secret")
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            assert client.info("server")["server_name"] == "valkey"
    finally:
        server.stop()


def test_the_password_of_redis_is_not_among_its_arguments(valkey: Valkey) -> None:
    assert valkey.process is not None
    assert "secret" not in " ".join(psutil.Process(valkey.process.pid).cmdline())


def test_engines_that_the_environment_names_are_used_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": os.environ["REDIS_URL"]}

    with started_engines(Home(tmp_path)) as engines:
        assert engines.values == named
        assert engines.embedded == []


def test_a_redis_that_does_not_answer_is_reported_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")

    with pytest.raises(CannotStart, match="REDIS_URL does not answer"), started_engines(Home(tmp_path)):
        pass


def test_embedded_engines_are_stopped_when_the_block_ends_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("REDIS_URL")
    pids: list[int] = []

    def interrupted() -> None:
        with started_engines(Home(tmp_path)) as engines:
            pids.extend(engine.process.pid for engine in engines.embedded if engine.process)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert len(pids) == 2
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
