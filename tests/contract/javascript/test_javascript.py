"""The official JavaScript client and its React hook, driven by Node against a running server."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from project.local.running import RunningServer

HERE = Path(__file__).parent
FILES = sorted(path.name for path in HERE.glob("*.test.mjs"))
PATIENCE_SECONDS = 240


def toolchain() -> str:
    """Where Node is; what is missing is a failure and not a skip, for an unmodified client is a promise."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("Node.js 20.19 or newer is not installed, and `make test-contract` needs it.")
    if not (HERE / "node_modules" / "@langchain" / "langgraph-sdk").is_dir():
        pytest.fail("The JavaScript client is not installed: `make test-contract` does that with npm.")
    return node


@pytest.mark.timeout(PATIENCE_SECONDS + 120)
@pytest.mark.parametrize("file", FILES)
def test_the_javascript_client(file: str, live: RunningServer) -> None:
    done = subprocess.run(
        [toolchain(), "--test", "--test-reporter=tap", file],
        cwd=HERE,
        env={**os.environ, "RUNYARD_URL": live.url, "RUNYARD_API_KEY": live.api_key},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    said = done.stdout + done.stderr
    counted = {name: int(number) for name, number in re.findall(r"^# (\w+) (\d+)$", done.stdout, re.MULTILINE)}

    assert done.returncode == 0, said
    assert counted["pass"] == counted["tests"] > 0, said


def test_there_are_files_to_run() -> None:
    assert FILES == ["client.test.mjs", "graphs.test.mjs", "use-stream-graphs.test.mjs", "use-stream.test.mjs"]
