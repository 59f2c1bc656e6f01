"""What one run without work costs: statements, Redis commands, processor time of every process, WAL.

Two series of runs, one request after the other, each on a Runyard of its own: in the first nothing is logged, and time
and traffic are measured, in a table of runs that has grown until sessions keep their plans; in the second every
statement is logged, and they are counted, sent as they are instead of by a name. What happens without runs is measured
before, and taken off.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import redis

from bench import buys, statements
from bench.assistants import registrations
from bench.report import machine, percentiles, table
from project.local.running import RunningServer, running_server
from runs.prepared import GROWN

COUNT = 300
WARM_UP = 50
IDLE_SECONDS = 10.0
#: What is asked for less often than this per run does not belong to a run: renewals, sweeps.
LEAST = 0.5
GRAPHS = Path(__file__).parent / "compare" / "project" / "langgraph.json"
KINDS = {"cpu": "processor, ms", "redis": "Redis commands", "bytes": "bytes", "WAL": "write-ahead log"}
BUYS = {**buys.BY_PROCESS, **buys.BY_COMMAND, **buys.BY_TRAFFIC}
SUMMED = ("cpu", "redis")
ENGINES = ("postgres", "valkey-server", "redis-server")


class Meter:
    """What a stack has used so far, as numbers that only grow."""

    def __init__(self, server: RunningServer) -> None:
        values = server.home.values()
        self._supervisor = psutil.Process(server.process.pid)
        self.database_url = values["DATABASE_URL"]
        self._redis = redis.Redis.from_url(values["REDIS_URL"])

    def read(self) -> Counter[tuple[str, str]]:
        """Everything, each by its kind and its name."""
        found: Counter[tuple[str, str]] = Counter()
        for process in self._supervisor.children(recursive=True):
            found["cpu", _role(process)] += _milliseconds(process)
        commands: Any = self._redis.info("commandstats")
        for name, stats in commands.items():
            found["redis", name.removeprefix("cmdstat_").upper()] = stats["calls"]
        traffic: Any = self._redis.info("stats")
        found["bytes", "to Redis"] = traffic["total_net_input_bytes"]
        found["bytes", "from Redis"] = traffic["total_net_output_bytes"]
        memory: Any = self._redis.info("memory")
        found["bytes", "of Redis' memory, kept"] = memory["used_memory_dataset"]
        found["WAL", "bytes"] = self._wal()
        return found

    def has_grown(self) -> bool:
        """Whether the table of runs is so large that sessions keep their plans."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT pg_relation_size('runs_run')").fetchone()
        return row is not None and row[0] > GROWN

    def _wal(self) -> int:
        """The statistics are seconds late; the position is not."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        return int(row[0]) if row else 0


def _role(process: psutil.Process) -> str:
    """Which part of the stack a process is."""
    try:
        command, name = process.cmdline(), process.name()
        if name in ENGINES:
            return "postgres" if name == "postgres" else "redis"
        if "celery" in command and "worker" in command:
            parent = process.parent()
            is_child = parent is not None and "worker" in parent.cmdline()
            return "worker, its children" if is_child else "worker, main process"
        words = {"uvicorn": "web", "run_scheduler": "scheduler", "flower": "flower"}
        return next((role for word, role in words.items() if word in command), "other")
    except psutil.NoSuchProcess:
        return "other"


def _milliseconds(process: psutil.Process) -> int:
    """Of its own and of the children it has buried: a session of PostgreSQL is a process."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    reaped = (times.children_user, times.children_system) if process.name() in ENGINES else ()
    return round(1000 * sum((times.user, times.system, *reaped)))


def execute(server: RunningServer, count: int) -> list[float]:
    """So many runs, each on a new thread, from the request to the result; the seconds of each."""
    body = {"assistant_id": "no_work", "if_not_exists": "create", "on_disconnect": "continue", "input": {"log": []}}
    took = []
    with httpx.Client(base_url=server.url, headers={"x-api-key": server.api_key}, timeout=60.0) as http:
        for _ in range(count):
            began = time.perf_counter()
            http.post(f"/threads/{uuid4()}/runs/wait", json=body).raise_for_status()
            took.append(time.perf_counter() - began)
    return took


def measure(server: RunningServer, count: int) -> dict[str, Any]:
    """What they cost, and how long they take."""
    meter = Meter(server)
    execute(server, WARM_UP)
    while not meter.has_grown():
        execute(server, WARM_UP)
    idle = _rest(meter)
    began, before = time.perf_counter(), meter.read()
    times = execute(server, count)
    used, seconds = meter.read() - before, time.perf_counter() - began
    costs = {key: max(0.0, value - idle[key] * seconds) / count for key, value in used.items()}
    return {"times": percentiles(times), "costs": costs, "idle": idle}


def count_statements(server: RunningServer, count: int) -> list[statements.Statement]:
    """What PostgreSQL is asked for them."""
    execute(server, WARM_UP)
    log = server.home.path / "postgres.log"
    with statements.logged(server.home.values()["DATABASE_URL"]):
        time.sleep(1)  # until every session has read it
        size = log.stat().st_size
        execute(server, count)
        return statements.read(log, size)


def _rest(meter: Meter) -> Counter[tuple[str, str]]:
    """What a second costs in which nothing is asked for."""
    began, before = time.perf_counter(), meter.read()
    time.sleep(IDLE_SECONDS)
    used, seconds = meter.read() - before, time.perf_counter() - began
    rates: Counter[Any] = Counter()
    rates.update({key: value / seconds for key, value in used.items()})
    return rates


def as_json(found: Mapping[str, Any], count: int) -> dict[str, Any]:
    """What was found, without tuples and classes, in the order in which it is reported."""
    costs = [
        {"kind": kind, "name": name, "a run": cost, "idle": found["idle"][kind, name]}
        for (kind, name), cost in sorted(found["costs"].items(), key=lambda item: -item[1])
        if cost >= LEAST / 10 or found["idle"][kind, name]
    ]
    asked = [asdict(one) for one in found["statements"] if one.calls / count >= LEAST]
    return {"about": {**machine(), "runs": count, **found["times"]}, "costs": costs, "statements": asked}


def report(found: Mapping[str, Any]) -> Iterator[str]:
    """What `as_json` has made of it, as Markdown."""
    about = found["about"]
    yield "; ".join(f"{name}: {value}" for name, value in about.items())
    for kind, title in KINDS.items():
        rows = [
            {
                title: one["name"],
                "a run": round(one["a run"], 2),
                "a second without runs": round(one["idle"], 2),
                "what it buys": BUYS.get(one["name"], ""),
            }
            for one in found["costs"]
            if one["kind"] == kind
        ]
        if rows:
            yield table([*rows, _total(rows)] if kind in SUMMED else rows)
    rows = [
        {
            "for": one["who"],
            "calls a run": round(one["calls"] / about["runs"], 2),
            "ms a run": round(one["milliseconds"] / about["runs"], 2),
            "what it buys": buys.statement_buys(one["sql"]),
            "statement": one["sql"].replace("|", "\\|"),
        }
        for one in found["statements"]
    ]
    yield table([*rows, _total(rows)])


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of the numbers, under the word "all"."""
    names = list(rows[0])
    sums = {name: round(sum(row[name] for row in rows), 2) for name in names if isinstance(rows[0][name], int | float)}
    return {**dict.fromkeys(names, ""), names[0]: "all", **sums}


def measured(*, count: int, graph: bool) -> dict[str, Any]:
    """On stacks of their own."""
    chosen = {"RUNYARD_CONFIG": str(GRAPHS)} if graph else {"RUNYARD_ASSISTANTS": registrations()}
    chosen["WORKERS"] = "2"
    with running_server(environment=chosen) as server:
        found = measure(server, count)
    with running_server(environment={**chosen, "RUNYARD_RUNS_SETTINGS": '{"PREPARED_STATEMENTS": false}'}) as server:
        return as_json({**found, "statements": count_statements(server, count)}, count)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help=f"runs in each series (default {COUNT})")
    parser.add_argument("--graph", action="store_true", help="a graph of LangGraph's instead of a function")
    given = parser.parse_args()
    print("\n\n".join(report(measured(count=given.count, graph=given.graph))))


if __name__ == "__main__":
    main()
