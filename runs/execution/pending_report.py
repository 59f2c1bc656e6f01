"""What an attempt has reported and nobody has stored yet. Threads of the assistant report, too."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runs.services.progress import Report

PROGRESS_EVERY_SECONDS = 5.0


class PendingReport:
    """Collects what is known until a write takes it along."""

    def __init__(self) -> None:
        self._report, self._lock = Report(), threading.Lock()
        self._tried_at = time.monotonic()

    def add(self, known: Mapping[str, Any]) -> None:
        """What counts from now on."""
        with self._lock:
            self._report = replace(self._report, **known)

    def take(self) -> Report:
        """All of it, for a write that stores it."""
        with self._lock:
            report, self._report = self._report, Report()
        self._tried_at = time.monotonic()
        return report

    def put_back(self, report: Report) -> None:
        """What was not stored with the step it came with; what was reported since counts more."""
        with self._lock:
            self._report = replace(report, **self._report.columns())

    def is_due(self) -> bool:
        """Whether there is something that nobody has tried to store for a while: long runs show what they use."""
        return time.monotonic() - self._tried_at >= PROGRESS_EVERY_SECONDS and bool(self._report.columns())

    def look(self) -> Report:
        """What is known, for a write that leaves it here: the next step stores it again."""
        self._tried_at = time.monotonic()
        return self._report
