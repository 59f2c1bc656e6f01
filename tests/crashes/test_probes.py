"""What the probes of containers say about real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from project.local.home import ROOT
from tests.support.ledger import wait_until
from tests.support.stack import Stack

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.timeout(180)]


def probe(what: str, state: Path) -> int:
    """The exit status of the command that docker-compose.yml names."""
    command = [sys.executable, "manage.py", "health", what]
    environment = os.environ | {"RUNYARD_STATE_DIR": str(state)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False).returncode


def test_a_probe_sees_a_process_live_and_die(tmp_path: Path) -> None:
    assert [probe(what, tmp_path) for what in ("worker", "scheduler")] == [1, 1]
    with Stack(workers=1, RUNYARD_STATE_DIR=str(tmp_path)) as stack:
        wait_until(lambda: probe("scheduler", tmp_path) == 0, "the scheduler to go round", 60.0)
        assert probe("worker", tmp_path) == 0
        stack.schedulers[0].kill()
        os.kill(stack.workers[0].pid, signal.SIGTERM)
        wait_until(lambda: not stack.workers[0].is_running, "the worker to end", 60.0)
        assert [probe(what, tmp_path) for what in ("worker", "scheduler")] == [1, 1]
