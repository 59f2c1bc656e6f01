"""manage.py recover_runs"""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from runs.conf import runs_settings
from runs.services import rebuild
from runs.services.workers import expired_workers


class Command(BaseCommand):
    """Do at once what the scheduler does in time, and publish every run that could start."""

    help = "Recover everything a crash has left behind, and build the queue anew from the database alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only show what would be done; reads only")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            self._show()
            return
        if expired := expired_workers(limit=None):
            self._wait(len(expired))
        for what, action in rebuild.actions():
            self.stdout.write(f"{what}: {action()}")
        if left := rebuild.left_out():
            self.stdout.write(f"left out, because others hold them or they failed: {left}; run this again")

    def _show(self) -> None:
        count = 0
        for finding in rebuild.plan():
            count += 1
            self.stdout.write(f"{finding.what} {finding.table} {finding.pk}")
        if not count:
            self.stdout.write("nothing to do")

    def _wait(self, count: int) -> None:
        """After an outage of the database the workers get their chance to renew, as from the scheduler."""
        seconds = runs_settings().LEASE_SECONDS
        self.stdout.write(f"{count} workers have not renewed their lease; giving them {seconds:g} s to do so")
        time.sleep(seconds)
