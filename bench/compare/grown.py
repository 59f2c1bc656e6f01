"""Runyard in the databases of bench.growth, from ten thousand to millions of runs, seen from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench import growth
from bench.compare.owner import LENGTH
from bench.compare.servers import Server, another_key, configuration
from project.local.home import ROOT
from project.local.running import RunningServer, running_server

#: What the month has left in flight must stay as it is: this server would dispatch it, and time it out.
HOLD = (
    """
    UPDATE runs_run
    SET not_before = CASE WHEN not_before IS NULL THEN '2100-01-01' ELSE not_before + interval '200 years' END
    WHERE status = 'pending' AND (not_before IS NULL OR not_before < '2100-01-01')
    """,
    "UPDATE runs_run SET timeout_at = now() + interval '1 year' WHERE status = 'running'",
    "UPDATE runs_worker SET expires_at = now() + interval '1 year' WHERE buried_at IS NULL AND host LIKE 'worker-%'",
)
#: What the measured server has still to do.
LEFT = """
    SELECT count(*) FROM runs_run
    WHERE status = 'pending' AND (not_before IS NULL OR not_before < '2100-01-01')
        AND deleted_at IS NULL AND created_at > now() - interval '1 hour'
    """
LONGEST_SECONDS = 120.0
#: Runs at a time.
WORKERS = 512
#: And the first of each thread is published again, which an empty Redis has made the scheduler forget.
LET_GO = (
    """
    UPDATE runs_run
    SET not_before = CASE WHEN not_before = '2100-01-01' THEN NULL ELSE not_before - interval '200 years' END
    WHERE status = 'pending' AND not_before >= '2100-01-01'
    """,
    """
    UPDATE runs_run run SET dispatched_at = created_at, dispatches = 1
    WHERE status = 'pending' AND dispatched_at IS NULL AND NOT EXISTS (
        SELECT FROM runs_run other WHERE other.thread_id = run.thread_id AND other.sequence < run.sequence
            AND (other.status IN ('pending', 'running') OR other.leased))
    """,
)


def runyard_beside(
    home: Path, runs: int, tell: Callable[[int, int], None]
) -> Callable[[], AbstractContextManager[Server]]:
    """What `make up` starts, with the async pool, on the database of this size; `tell` gets its number of runs."""

    @contextmanager
    def start() -> Iterator[Server]:
        with growth.started(home, runs) as postgres, _held(postgres.url):
            given = {**configuration(pool="async", workers=WORKERS), "DATABASE_URL": postgres.url}
            with running_server(environment=given) as up:
                owner = _owner(up)
                tell(runs, owner["runs"])
                ours, theirs = ({"x-api-key": key} for key in (owner["key"], another_key(up)))
                process = psutil.Process(up.process.pid)
                histories = {LENGTH: owner["thread"]}
                yield Server(f"{runs:,} runs", up.url, process, ours, theirs, at_once=WORKERS, histories=histories)
                _wait_until_done(postgres.url)

    return start


def _wait_until_done(url: str) -> None:
    """What a flood has left behind is executed: the database is measured again."""
    deadline = time.monotonic() + LONGEST_SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while (left := connection.execute(LEFT).fetchone()) != (0,):
            if time.monotonic() > deadline:
                raise SystemExit(f"{left} runs are not done after {LONGEST_SECONDS:.0f} s")
            time.sleep(0.5)


@contextmanager
def _held(url: str) -> Iterator[None]:
    _execute(url, *HOLD)
    try:
        yield
    finally:
        _execute(url, *LET_GO, "VACUUM (ANALYZE) runs_run", "VACUUM (ANALYZE) runs_worker")


def _execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _owner(up: RunningServer) -> dict[str, Any]:
    environment = {**os.environ, **up.home.values(), "DJANGO_SETTINGS_MODULE": "project.settings"}
    found: dict[str, Any] = ask("bench.compare.owner", environment=environment)
    return found


def ask(module: str, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    """What a program of ours answers in JSON; what it says on the way is for whoever watches."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout) if done.stdout else None


def fill(home: Path, sizes: tuple[int, ...]) -> None:
    """Make the databases that are missing."""
    ask("bench.growth", "--home", str(home), "--sizes", *map(str, sizes), "--fill")


def plans(home: Path, sizes: tuple[int, ...], *options: str) -> Any:
    """The plans, pages and times of every operation."""
    return ask("bench.growth", "--home", str(home), "--sizes", *map(str, sizes), "--json", *options)["rows"]
