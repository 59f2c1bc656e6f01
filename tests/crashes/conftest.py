"""Everything here happens in real processes, so it happens in committed rows; their logs come with a failure."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from project.local.processes import last_lines
from tests.support.fixtures import intact
from tests.support.ledger import VARIABLE
from tests.support.stage import db, stage, swept

__all__ = ["db", "intact", "pytest_runtest_makereport", "stage", "swept"]

LINES = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of the logs, which stay in the ledger's directory."""
    report = yield
    if report.failed and (directory := os.environ.get(VARIABLE)):
        for log in sorted(Path(directory).glob("*.log")):
            report.sections.append((str(log), last_lines(log, LINES)))
    return report
