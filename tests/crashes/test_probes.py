"""What the probes of containers say about real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL

import pytest

from project.local.home import ROOT
from tests.support.ledger import wait_until
from tests.support.stack import Stack

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.timeout(300)]


def probes(state: Path) -> list[int]:
    """The exit status of the commands that docker-compose.yml names, of worker and scheduler; asked at once."""
    environment = os.environ | {"RUNYARD_STATE_DIR": str(state)}
    asked = [
        subprocess.Popen(
            [sys.executable, "manage.py", "health", what], cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL
        )
        for what in ("worker", "scheduler")
    ]
    return [one.wait(60) for one in asked]


def test_a_probe_sees_a_process_live_and_die(tmp_path: Path) -> None:
    assert probes(tmp_path) == [1, 1]
    with Stack(workers=1, RUNYARD_STATE_DIR=str(tmp_path)) as stack:
        wait_until(lambda: probes(tmp_path) == [0, 0], "both to go round", 60.0)
        stack.schedulers[0].kill()
        os.kill(stack.workers[0].pid, signal.SIGTERM)
        wait_until(lambda: not stack.workers[0].is_running, "the worker to end", 60.0)
        assert probes(tmp_path) == [1, 1]
