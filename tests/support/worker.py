"""A real `celery worker` against the engines of the test session."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from project.local.processes import kill_group, last_lines, spawn
from tests.support.assistants import registrations
from tests.support.ledger import VARIABLE, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90.0
STOP_SECONDS = 20.0


class WorkerProcess:
    """One worker with its pool, killed with all its children at the end of the block.

    `pool`: "prefork", or "async" for loop processes; by default what RUNYARD_TEST_POOL says, or prefork.
    `runs` goes over settings.RUNS. `faults` names parts of the product to break, see tests/support/faulty.py.
    """

    def __init__(
        self,
        *,
        concurrency: int = 2,
        prefetch: int = 1,
        faults: tuple[str, ...] = (),
        runs: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        pool: str | None = None,
    ) -> None:
        self.pool = pool or os.environ.get("RUNYARD_TEST_POOL", "prefork")
        pools = {"prefork": "prefork", "async": "custom"}  # what Celery calls them
        self._options = [f"--concurrency={concurrency}", f"--prefetch-multiplier={prefetch}"]
        self._options.append(f"--pool={pools[self.pool]}")
        self._application = "tests.support.faulty" if faults else "project"
        self._environment = {
            "RUNYARD_ASSISTANTS": registrations(),
            "RUNYARD_RUNS_SETTINGS": json.dumps(runs or {}),
            "RUNYARD_TEST_FAULTS": ",".join(faults),
            "CELERY_CUSTOM_WORKER_POOL": "runs.execution.loops.pool:LoopPool",
            **(environment or {}),
        }
        #: The worker's name among Celery's.
        self.name = f"test-{uuid4()}@{socket.gethostname()}"
        self._log = Path(os.environ[VARIABLE], f"{self.name}.log")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "WorkerProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The main process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Return when the worker consumes and has a lease. It ends with the test session, however that ends."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Begin to start it."""
        command = [sys.executable, "-m", "celery", "-A", self._application, "worker", "-l", "INFO", "-n", self.name]
        self.process = spawn(
            [*command, *self._options],
            log=self._log,
            death_signal=signal.SIGKILL,
            environment=os.environ | self._environment,
            directory=ROOT,
        )

    def wait_until_ready(self) -> None:
        """Return when the worker consumes and has a lease."""
        try:
            wait_until(self.is_ready, "the worker to be ready", START_SECONDS)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}; its log:\n{last_lines(self._log, 100)}") from None

    def is_ready(self) -> bool:
        """Whether it consumes and has a lease."""
        assert self.is_running, "the worker has ended"
        return self.has_lease()

    def has_lease(self) -> bool:
        """Whether its row says that it lives; for a while also when it has died."""
        from runs.models import Worker

        return Worker.objects.filter(host=f"{socket.gethostname()}:{self.pid}", buried_at=None).exists()

    @property
    def is_running(self) -> bool:
        """Whether the main process is there."""
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """What the worker has written so far."""
        return self._log.read_text(errors="replace")

    def children(self) -> set[int]:
        """The pids of the pool."""
        return {child.pid for child in psutil.Process(self.pid).children()}

    @contextmanager
    def not_consuming(self) -> Iterator[None]:
        """In this block the worker takes no message."""
        from celery import current_app

        assert current_app.control.cancel_consumer("runs", reply=True, destination=[self.name], limit=1, timeout=5.0)
        try:
            yield
        finally:
            current_app.control.add_consumer("runs", destination=[self.name])

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the main process."""
        os.kill(self.pid, signum)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Return the exit code of the main process when it has ended."""
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End the main process and every child, whatever state they are in.

        One whose end has been seen already had its children end with it, and its number may be another's by now.
        """
        if self.process is None or self.process.returncode is not None:
            return
        children: list[psutil.Process] = []
        with suppress(psutil.Error):  # it is dead, and nobody has seen it
            children = psutil.Process(self.pid).children(recursive=True)
        kill_group(self.pid)
        self.process.wait(STOP_SECONDS)
        psutil.wait_procs(children, STOP_SECONDS)
