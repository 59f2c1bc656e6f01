"""How each server is started, as its own documentation says, on free ports of the loopback interface."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil

from bench.environments import AEGRA, LANGGRAPH, environment, newer_python
from project.local.engines import started_engines
from project.local.home import ROOT, Home
from project.local.ports import free_port
from project.local.processes import last_lines, spawn
from project.local.running import RunningServer, running_server

PROJECT = Path(__file__).parent / "project"
START_SECONDS = 120.0
STOP_SECONDS = 60.0
#: Of `langgraph dev`; its own default.
JOBS = 10


@dataclass(frozen=True)
class Server:
    """One that answers."""

    name: str
    url: str
    #: The process whose children are the server; engines are not counted.
    process: psutil.Process
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Those of another tenant; where there are no tenants, the same.
    others: Mapping[str, str] = field(default_factory=dict)
    #: How many runs it executes at a time; None: nobody knows.
    at_once: int | None = None
    #: Threads that have had so many runs.
    histories: Mapping[int, str] = field(default_factory=dict)

    def resident_kib(self) -> int:
        """What all of its processes hold; pages that they share count once (PSS)."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(_pss(one) for one in family if not _is_engine(one)) // 1024

    def cpu_seconds(self) -> float:
        """What all of its living processes have used, engines left out."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(one.cpu_times()[:2]) for one in family if not _is_engine(one))


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _is_engine(process: psutil.Process) -> bool:
    try:
        return any(word in process.name() for word in ("postgres", "redis", "valkey"))
    except psutil.NoSuchProcess:
        return True


def runyard(*, pool: str, workers: int) -> Callable[[], AbstractContextManager[Server]]:
    """All of it, as `make up` starts it, with so many runs at a time in its worker."""

    @contextmanager
    def start() -> Iterator[Server]:
        with running_server(environment=configuration(pool=pool, workers=workers)) as up:
            ours, theirs = ({"x-api-key": key} for key in (up.api_key, another_key(up)))
            process = psutil.Process(up.process.pid)
            yield Server(f"runyard ({pool})", up.url, process, headers=ours, others=theirs, at_once=workers)

    return start


def configuration(*, pool: str, workers: int) -> dict[str, str]:
    """What is said to a Runyard that is measured."""
    return {
        "RUNYARD_CONFIG": str(PROJECT / "langgraph.json"),
        "RUNYARD_RUNS_SETTINGS": '{"MAX_QUEUED_RUNS": 1000}',  # the others accept any number
        "WORKER_POOL": pool,
        "WORKERS": str(workers),
    }


def another_key(up: RunningServer) -> str:
    """Of a user that is made here, unless there is one."""
    code = (
        "from django.contrib.auth.models import User; from runs.services.api_keys import create_api_key; "
        "print(create_api_key(owner=User.objects.get_or_create(username='another')[0], name='bench')[1])"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "--command", code]
    environment = {**os.environ, **up.home.values(), "RUNYARD_HOME": str(up.home.path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return done.stdout.strip()


def install(names: Collection[str]) -> None:
    """Before anything is measured: it takes minutes the first time."""
    if "langgraph" in names:
        environment("langgraph", LANGGRAPH)
    if any(name.startswith("aegra") for name in names):
        environment("aegra", AEGRA, python=_python_for_aegra())


def _python_for_aegra() -> str:
    python = newer_python()
    if python is None:
        raise SystemExit("Aegra needs Python 3.12 or newer: AEGRA_PYTHON=python3.12, or --servers without it")
    return python


@contextmanager
def langgraph_dev() -> Iterator[Server]:
    """LangGraph's own server, in memory."""
    program = environment("langgraph", LANGGRAPH) / "langgraph"
    port = free_port()
    options = ["--no-browser", "--no-reload", "--port", str(port), "--n-jobs-per-worker", str(JOBS)]
    with tempfile.TemporaryDirectory() as directory:
        command = [str(program), "dev", "--config", str(PROJECT / "langgraph.json"), *options]
        offline = {"LANGSMITH_TRACING": "false", "LANGGRAPH_NO_VERSION_CHECK": "true"}
        with _started("langgraph dev", command, port, Path(directory), offline) as server:
            yield replace(server, at_once=JOBS)


def aegra(*, workers: bool) -> Callable[[], AbstractContextManager[Server]]:
    """Aegra on an own PostgreSQL and Redis; `workers`: runs go through Redis to its workers, else they stay local."""

    @contextmanager
    def start() -> Iterator[Server]:
        program, port = environment("aegra", AEGRA, python=_python_for_aegra()) / "uvicorn", free_port()
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aegra-")))
            home = Home(directory)
            stack.enter_context(home.locked())
            engines = stack.enter_context(started_engines(home)).values
            command = [str(program), "aegra_api.main:app", "--port", str(port), "--log-level", "warning"]
            given = {
                "DATABASE_URL": engines["DATABASE_URL"],
                "REDIS_URL": engines["REDIS_URL"],
                "REDIS_BROKER_ENABLED": str(workers).lower(),
                "AEGRA_CONFIG": str(PROJECT / "langgraph.json"),
                "LOG_LEVEL": "WARNING",
                "PORT": str(port),
            }
            name = f"aegra ({'workers' if workers else 'local'})"
            yield stack.enter_context(_started(name, command, port, directory, given))

    return start


#: As the report says it.
HOW = {
    "runyard": "`make up`: one web process, a worker with two children, scheduler, Flower; own PostgreSQL and Valkey",
    "runyard-async": "the same with `WORKER_POOL=async`: instead of the children one process, for 512 runs at a time",
    "langgraph": f"`langgraph dev`, {JOBS} jobs; everything in memory ({', '.join(LANGGRAPH)})",
    "aegra": f"Aegra with its runs in the web process ({AEGRA[0]}); PostgreSQL and Valkey as for Runyard",
    "aegra-workers": "the same Aegra with its runs through Redis to its workers (`REDIS_BROKER_ENABLED`)",
}

SERVERS: dict[str, Callable[[], AbstractContextManager[Server]]] = {
    "runyard": runyard(pool="prefork", workers=2),
    "runyard-async": runyard(pool="async", workers=512),
    "langgraph": langgraph_dev,
    "aegra": aegra(workers=False),
    "aegra-workers": aegra(workers=True),
}


@contextmanager
def _started(
    name: str, command: list[str], port: int, directory: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    log = directory / "server.log"
    process = spawn(
        command,
        log=log,
        death_signal=signal.SIGTERM,
        environment={**os.environ, **environment},
        directory=PROJECT,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(name, url, process, log)
        yield Server(name, url, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(name: str, url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/ok", timeout=2).is_success or httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{name} does not come up; the end of its log:\n{last_lines(log)}")
        time.sleep(0.2)
