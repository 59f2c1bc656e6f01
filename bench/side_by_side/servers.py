"""Both servers on the same graphs: LangGraph's from an environment of its own, and Runyard as `make up` starts it."""

import json
import os
import shutil
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from project.local.ports import LOOPBACK, free_port
from project.local.processes import end, last_lines, spawn
from project.local.running import running_server

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "tests/support/project"
#: What is compared; LangGraph's server does not start if one graph cannot be loaded, and some are there to be broken.
_GRAPHS = ("echo", "chat", "calling", "slow", "boom", "hitl", "parent", "asking_parent", "nested", "parallel", "ctx")
START_SECONDS = 120.0


def copy_project(directory: Path) -> Path:
    """A copy of the test graphs; returns its langgraph.json."""
    copy = shutil.copytree(PROJECT, directory / "project", ignore=shutil.ignore_patterns("__pycache__"))
    config = copy / "langgraph.json"
    content = json.loads(config.read_text())
    content["graphs"] = {name: content["graphs"][name] for name in _GRAPHS}
    config.write_text(json.dumps(content))
    return config


@contextmanager
def reference(program: Path, config: Path) -> Iterator[str]:
    """LangGraph's server; yields its address."""
    port = free_port()
    log = config.parent.parent / "langgraph.log"
    command = [str(program), "dev", "--config", str(config), "--host", LOOPBACK, "--port", str(port), "--no-browser"]
    process = spawn(
        [*command, "--no-reload", "--allow-blocking", "--n-jobs-per-worker", "10"],
        log=log,
        death_signal=signal.SIGKILL,
        environment={**os.environ, "LANGSMITH_TRACING": "false"},
        directory=config.parent,
    )
    try:
        url = f"http://{LOOPBACK}:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"LangGraph's server does not come up:\n{last_lines(log, 30)}")
            time.sleep(0.2)
        yield url
    finally:
        end(process, signal.SIGTERM, patience=10.0)


@contextmanager
def runyard(config: Path) -> Iterator[tuple[str, str]]:
    """This server, with LangGraph's defaults; yields its address and a key."""
    environment = {"RUNYARD_CONFIG": str(config), "RUNYARD_RUNS_SETTINGS": '{"COMPAT": "langgraph"}'}
    with running_server(config.parent.parent / "runyard", environment=environment) as server:
        yield server.url, server.api_key


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/ok", timeout=2) as answer:  # noqa: S310 - our own
        return bool(answer.status == 200)  # noqa: PLR2004
    return False
