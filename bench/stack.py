"""The Runyard that is measured: all of it, as `make up` starts it, on engines and ports of its own."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
import redis

from bench.assistants import registrations
from project.local.running import RunningServer, running_server

#: For each stream the web process and the client of the benchmark have one file open each.
SPARE_FILES = 512


@dataclass(frozen=True)
class Usage:
    """What the web process holds, and what the engines see, at one moment."""

    resident_kib: int
    files: int
    redis_connections: int
    postgres_connections: int
    cpu_seconds: float


class Stack:
    """A Runyard that is up, seen from outside."""

    def __init__(self, server: RunningServer) -> None:
        self.url, self.api_key = server.url, server.api_key
        self.values = server.home.values()
        self._web = _find_web(server.process.pid)
        self._redis = redis.Redis.from_url(self.values["REDIS_URL"])

    def usage(self) -> Usage:
        """Measure now. This process' own connections are not counted."""
        times = self._web.cpu_times()
        return Usage(
            resident_kib=self._web.memory_info().rss // 1024,
            files=self._web.num_fds(),
            redis_connections=self._redis_connections(),
            postgres_connections=self._postgres_connections(),
            cpu_seconds=times.user + times.system,
        )

    def _redis_connections(self) -> int:
        """Those whose other end the web process has."""
        ports = {str(each.laddr.port) for each in self._web.net_connections("tcp") if each.laddr}
        clients: Any = self._redis.client_list()
        return sum(client["addr"].rpartition(":")[2] in ports for client in clients)

    def _postgres_connections(self) -> int:
        with psycopg.connect(self.values["DATABASE_URL"]) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            row = connection.execute(f"{query} AND pid <> pg_backend_pid()").fetchone()
        return int(row[0]) if row else 0


@contextmanager
def started(*, streams: int = 0) -> Iterator[Stack]:
    """A stack for the length of the block, which may hold this many streams open."""
    allow_files(streams + SPARE_FILES)
    with running_server(environment={"RUNYARD_ASSISTANTS": registrations(), "WORKERS": "2"}) as server:
        yield Stack(server)


def allow_files(count: int) -> None:
    """Raise this process' limit on open files to `count`, for its children, too; exit if the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"{count} open files are needed, the limit is {hard}: raise it (ulimit -Hn) or ask for less")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _find_web(supervisor: int) -> psutil.Process:
    children = psutil.Process(supervisor).children(recursive=True)
    return next(child for child in children if "uvicorn" in child.cmdline())
