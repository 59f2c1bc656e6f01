"""The peers, each installed from PyPI in an environment of its own, for the measurement only."""

import os
import subprocess
import sys
from pathlib import Path

from project.local.home import ROOT

#: Not committed; `make clean` leaves it, for it takes minutes to make.
PLACE = ROOT / ".bench"
LANGGRAPH = "langgraph-cli[inmem]==0.4.40"
AEGRA = "aegra-api==0.11.0"


def environment(name: str, requirement: str, *, python: str = sys.executable) -> Path:
    """The directory with the programs of this environment, made if it is not there yet."""
    place = PLACE / name
    done = place / ".installed"
    if not done.exists() or done.read_text() != requirement:
        print(f"installing {requirement} into {place}", file=sys.stderr)
        subprocess.run([python, "-m", "venv", "--clear", str(place)], check=True)  # noqa: S603 - our own words
        install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, requirement], check=True)  # noqa: S603
        done.write_text(requirement)
    return place / "bin"


def newer_python() -> str | None:
    """Aegra needs Python 3.12: the one that AEGRA_PYTHON names, or one on PATH; None if there is none that starts."""
    for name in filter(None, (os.environ.get("AEGRA_PYTHON"), "python3.12", "python3.13", "python3")):
        try:
            asked = [name, "-c", "import sys; print(sys.version_info >= (3, 12))"]
            answer = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - the user's own
        except OSError:
            continue
        if answer.stdout.strip() == "True":
            return name
    return None
