"""Raw values, written while they are measured: a line of JSON each. The report is made from them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import hardware, machine
from project.local.home import ROOT

NAME = "raw.jsonl"


def commit() -> str:
    """What is measured: the commit, and whether files differ from it, reports aside."""
    short = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!docs/reference/benchmarks")
    return f"{short} + changes" if changed else short


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip() or ("" if done.returncode == 0 else "unknown")


class Record:
    """One session of measuring; its lines follow those of earlier ones in the same directory."""

    def __init__(self, directory: Path, **about: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / NAME
        self.session = 1 + max((line["session"] for line in read(directory)), default=0)
        self.add("session", at=time.strftime("%Y-%m-%d %H:%M"), commit=commit(), **hardware(), **machine(), **about)

    def add(self, part: str, **values: Any) -> None:
        """One line, on the disk before the next is measured."""
        with self._path.open("a") as lines:
            lines.write(json.dumps({"session": self.session, "part": part, **values}) + "\n")


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """Every line so far; one that a crash has cut off is none."""
    path = directory / NAME
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def say(what: str) -> None:
    """Progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)
