"""A web process, or with `python -m` a scheduler, that dies where the test says; see tests/support/crash_points.py.

RUNYARD_TEST_HASTE: a scheduler that buries whoever has expired at once, for a negative control.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from project.asgi import application
from tests.support import crash_points

__all__ = ["application"]

crash_points.install()

if __name__ == "__main__":
    from django.core.management import call_command

    from runs.scheduler import Scheduler

    if os.environ.get("RUNYARD_TEST_HASTE"):
        Scheduler._may_bury = lambda self: True  # type: ignore[method-assign]
    call_command("run_scheduler")
