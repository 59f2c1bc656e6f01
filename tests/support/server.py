"""A real web process (uvicorn) against the engines of the test session."""

import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Self

from project.local.ports import LOOPBACK, free_port
from project.local.processes import end, last_lines, spawn
from tests.support.factories import ASSISTANTS
from tests.support.ledger import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90.0
STOP_SECONDS = 10.0


class ServerProcess:
    """One web process on a free port, ended with the block. It knows the assistants of tests/support/factories.py.

    `application`: where ASGI finds it. `name` is its log's.
    """

    def __init__(
        self,
        directory: Path,
        *,
        pool_size: int = 4,
        application: str = "project.asgi:application",
        name: str = "web",
        **environment: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._application = application
        self._log = directory / f"{name}.log"
        self._environment = {
            "RUNYARD_ASSISTANTS": ",".join(f"{name}={path}" for name, path in ASSISTANTS.items()),
            "DATABASE_POOL_SIZE": str(pool_size),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when it answers."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Begin to start it."""
        command = [sys.executable, "-m", "uvicorn", self._application, "--host", LOOPBACK]
        self._process = spawn(
            [*command, "--port", str(self.port), "--lifespan", "off", "--timeout-graceful-shutdown", "2"],
            log=self._log,
            death_signal=signal.SIGKILL,
            environment=os.environ | self._environment,
            directory=ROOT,
        )

    def wait_until_ready(self) -> None:
        """Return when it answers."""
        wait_until(self.answers, "the web process to answer", START_SECONDS)

    def stop(self) -> None:
        """What a deploy does to it."""
        if self._process is not None:
            end(self._process, signal.SIGTERM, patience=STOP_SECONDS)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """What a crash does to it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def answers(self) -> bool:
        """Whether it serves requests."""
        assert self._process is not None
        assert self._process.poll() is None, f"the web process has ended; its log:\n{last_lines(self._log, 50)}"
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/ok", timeout=5) as answer:
            return bool(answer.status == 200)
        return False
