"""The how-to about LangGraph projects does what it says, command by command, with the project in examples/letters."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from project.local.home import ROOT
from project.local.running import RunningServer, running_server

EXAMPLE = ROOT / "examples" / "letters"
PAGE = (ROOT / "docs" / "how-to" / "run-a-langgraph-project.md").read_text()
#: (language, content) of every block of the page, in order.
BLOCKS = [
    (language, re.sub(r"^   ", "", content, flags=re.MULTILINE))
    for language, content in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
]
SHELL = [content for language, content in BLOCKS if language == "sh"]
ASK, CLIENT = SHELL[2], next(content for language, content in BLOCKS if language == "python")
SAID = BLOCKS[-1][1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a copy of the example, prepared as in step 1."""
    place = tmp_path_factory.mktemp("clone")
    example = shutil.copytree(EXAMPLE, place / "letters", ignore=shutil.ignore_patterns("__pycache__", ".env"))
    shutil.copy(example / ".env.example", example / ".env")
    return place


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[RunningServer]:
    """What step 2 starts."""
    environment = {"RUNYARD_CONFIG": str(place / "letters" / "langgraph.json")}
    with running_server(place / ".runyard", environment=environment) as server:
        yield server


def test_the_first_two_steps_name_what_is_there() -> None:
    install, start = SHELL[:2]
    command, copy = install.splitlines()
    made = subprocess.run([*command.split(), "-n"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert f"-r {EXAMPLE.relative_to(ROOT)}/requirements.txt" in made
    assert copy == "cp examples/letters/.env.example examples/letters/.env"
    assert start.strip() == f"RUNYARD_CONFIG={EXAMPLE.relative_to(ROOT)}/langgraph.json make up"


def test_what_is_installed_here_is_what_the_example_needs() -> None:
    for line in (EXAMPLE / "requirements.txt").read_text().splitlines():
        needed = Requirement(line)
        assert needed.specifier.contains(version(needed.name))


@pytest.mark.timeout(180)
def test_the_third_step_with_curl(place: Path, server: RunningServer) -> None:
    said = subprocess.run(["bash", "-ec", ASK], cwd=place, capture_output=True, text=True, check=True, timeout=60)
    values = json.loads(said.stdout)

    assert [message["type"] for message in values["messages"]] == ["human", "ai"]
    draft = values["messages"][-1]["content"]
    assert values["__interrupt__"][0]["value"] == {"draft": draft, "say": "'send', or what to add"}


@pytest.mark.timeout(180)
def test_the_client_of_the_page_prints_what_the_page_says(place: Path, server: RunningServer) -> None:
    (place / "correspond.py").write_text(CLIENT)
    credentials = {"RUNYARD_URL": server.url, "RUNYARD_API_KEY": server.api_key}
    done = subprocess.run(
        [sys.executable, "correspond.py"],
        cwd=place,
        env={**os.environ, **credentials},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.stderr, done.stdout) == ("", SAID)
    assert SHELL[3].strip() == ".venv/bin/python correspond.py"
