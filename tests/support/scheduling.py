"""A real scheduler process against the engines of the test session."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from project.local.processes import end, last_lines, spawn
from tests.support.assistants import registrations
from tests.support.ledger import VARIABLE, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90.0
STOP_SECONDS = 10.0


class SchedulerProcess:
    """One scheduler, ended with the block. `runs` goes over settings.RUNS."""

    def __init__(self, *, name: str = "scheduler", runs: dict[str, Any] | None = None, **environment: str) -> None:
        self._environment = {
            "RUNYARD_ASSISTANTS": registrations(),
            "RUNYARD_RUNS_SETTINGS": json.dumps(runs or {}),
            **environment,
        }
        self._log = Path(os.environ[VARIABLE], f"{name}.log")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when it sweeps."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Begin to start it."""
        self._log.unlink(missing_ok=True)
        self.process = spawn(
            [sys.executable, "-u", "-m", "tests.support.mortal"],
            log=self._log,
            death_signal=signal.SIGKILL,
            environment=os.environ | self._environment,
            directory=ROOT,
        )

    def wait_until_ready(self) -> None:
        """Return when it sweeps."""

        def is_ready() -> bool:
            assert self.is_running, f"the scheduler has ended; its log:\n{last_lines(self._log, 50)}"
            return "sweeping" in self._log.read_text(errors="replace")

        wait_until(is_ready, "the scheduler to sweep", START_SECONDS)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """What a deploy does to it."""
        if self.process is not None:
            end(self.process, signal.SIGTERM, patience=STOP_SECONDS)

    def kill(self) -> None:
        """What a crash does to it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)
