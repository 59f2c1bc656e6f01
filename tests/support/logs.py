"""What the processes of a failed test had to say: the ends of their logs, in the report of the failure."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.local.processes import last_lines

LINES = 40


def add_logs(report: pytest.TestReport, began: float, directory: Path) -> None:
    """Add the end of each log under `directory` that something was written to since `began`."""
    for log in sorted(_written_since(began, directory)):
        report.sections.append((f"end of {log.relative_to(directory)}", last_lines(log, LINES)))


def began(call: "pytest.CallInfo[None]") -> float:
    """When the phase began, by the clock that files are stamped with."""
    return time.time() - call.duration - 1


def _written_since(began: float, directory: Path) -> Iterator[Path]:
    for log in directory.rglob("*.log"):
        if log.is_file() and log.stat().st_mtime >= began and log.stat().st_size:
            yield log
