"""The processes that make up Runyard, in the order in which they are stopped."""

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from project.local.ports import LOOPBACK

WEB_CONNECTIONS = "8"  # sync views open one connection per request thread; without a pool that is hundreds

#: The ways to execute runs, by the names that Celery has for them.
POOLS = {"prefork": "prefork", "async": "custom"}


@dataclass(frozen=True)
class Process:
    """One supervised process: how it starts, when it is ready, how it is asked to stop, and how long that may take."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    ready_when: str = ""  # it has written this; for what listens on no port
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 10.0

    @property
    def command(self) -> list[str]:
        """As modules of this interpreter: the scripts of a virtual environment break on a space in its path."""
        return [sys.executable, *self.arguments]


@dataclass(frozen=True)
class Addresses:
    """Where the web process and Flower listen."""

    port: int
    flower_port: int

    @property
    def urls(self) -> dict[str, str]:
        """What a person opens."""
        base = f"http://{LOOPBACK}:{self.port}"
        return {
            "API": base,
            "admin": f"{base}/admin/",
            "docs": f"{base}/docs",
            "Flower": f"http://{LOOPBACK}:{self.flower_port}/",
        }

    @property
    def probes(self) -> dict[str, str]:
        """What answers 200 without an account once the thing behind the URL works."""
        return self.urls | {"API": f"{self.urls['API']}/ok", "Flower": f"{self.urls['Flower']}healthcheck"}


def processes(addresses: Addresses, *, workers: int, pool: str, password: str, home: Path) -> list[Process]:
    """Web, worker, scheduler and Flower."""
    return [
        _web(addresses.port, addresses.urls["Flower"]),
        _worker(workers, POOLS[pool]),
        Process("scheduler", ("manage.py", "run_scheduler")),
        _flower(addresses.flower_port, addresses.urls["API"], password, home),
    ]


def _web(port: int, flower: str) -> Process:
    arguments = ("-m", "uvicorn", "project.asgi:application", "--host", LOOPBACK, "--port", str(port))
    manner = ("--lifespan", "off", "--timeout-graceful-shutdown", "5")
    return Process("web", arguments + manner, {"DATABASE_POOL_SIZE": WEB_CONNECTIONS, "RUNYARD_FLOWER_URL": flower})


def _worker(count: int, pool: str) -> Process:
    arguments = (
        "-m",
        "celery",
        "--quiet",
        "-A",
        "project",
        "worker",
        "--loglevel",
        "INFO",
        "--concurrency",
        str(count),
        "--pool",
        pool,
    )
    # SIGQUIT hands runs back at once: whoever presses Ctrl-C does not want to wait for them.
    environment = {
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
        "CELERY_CUSTOM_WORKER_POOL": "runs.execution.loops.pool:LoopPool",
    }
    return Process("worker", arguments, environment, ready_when=" ready.", stop_signal=signal.SIGQUIT, patience=40.0)


def _flower(port: int, console: str, password: str, home: Path) -> Process:
    arguments = ("-m", "celery", "-A", "project", "flower", f"--address={LOOPBACK}", f"--port={port}")
    configuration = f"--conf={Path(__file__).parents[1] / 'flowerconfig.py'}"
    memory = ("--persistent=True", f"--db={home / 'flower'}", "--state-save-interval=60000", "--logging=error")
    # By the environment: an argument is there for every user of the machine to read.
    secret = {"FLOWER_BASIC_AUTH": f"operator:{password}", "FLOWER_PORT": str(port), "RUNYARD_CONSOLE_URL": console}
    return Process("flower", (*arguments, configuration, *memory), secret)
