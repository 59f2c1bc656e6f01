"""manage.py run_scheduler"""

import os
import signal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from runs.exposition import serve_in_thread
from runs.scheduler import Scheduler
from runs.services.schedulers import connection_name


class Command(BaseCommand):
    """Sweep until SIGTERM or SIGINT."""

    help = (
        "Dispatch lost runs, bury dead workers and recover their runs, time out the overdue, remove what was deleted."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        scheduler = Scheduler()

        def stop(*_: Any) -> None:
            scheduler.stopped = True

        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, stop)
        os.environ["PGAPPNAME"] = connection_name()
        connection.close()
        serve_in_thread()
        self.stdout.write("scheduler: sweeping")
        scheduler.run()
        self.stdout.write("scheduler: stopped")
