"""A whole Runyard for the length of a block, for a demo or a test; beside any other that is up."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from project.local.errors import CannotStart
from project.local.home import ROOT, Home
from project.local.processes import last_lines, spawn

# What would make it share the engines or the accounts of another.
_OF_ANOTHER = (
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "SECRET_KEY",
    "RUNYARD_API_KEY",
    "RUNYARD_ADMIN_PASSWORD",
)
START_TIMEOUT = 120.0
STOP_TIMEOUT = 90.0


@dataclass(frozen=True)
class RunningServer:
    """A Runyard whose four URLs answer."""

    url: str
    api_key: str
    urls: Mapping[str, str]
    home: Home
    process: "subprocess.Popen[bytes]"


@contextmanager
def running_server(
    home: Path | None = None, *, port: int = 0, flower_port: int = 0, environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """What `make up` starts, on engines of its own; data and up.log in `home`, by default a temporary directory.

    Port 0 takes any free one. Enter it from the main thread: the stack ends with the thread that has started it.
    """
    with ExitStack() as stack:
        directory = home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runyard-")))
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = directory / "up.log"
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER}
        own = {"RUNYARD_HOME": str(directory), "PORT": str(port), "FLOWER_PORT": str(flower_port)}
        process = spawn(
            [sys.executable, "-m", "project.local.up"],
            log=log,
            death_signal=signal.SIGTERM,
            environment={**inherited, **own, **(environment or {})},
            directory=ROOT,
        )
        stack.callback(_stop, process)
        yield _wait(Home(directory), process, log)


def _wait(home: Home, process: "subprocess.Popen[bytes]", log: Path) -> RunningServer:
    deadline = time.monotonic() + START_TIMEOUT
    while (urls := home.status()) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotStart(f"Runyard does not come up; the end of {log}:\n{last_lines(log)}")
        time.sleep(0.1)
    return RunningServer(urls["API"], home.values()["RUNYARD_API_KEY"], urls, home, process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()  # and its children with it
        process.wait()
