"""manage.py health"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs import health
from runs.heartbeats import beats

PROCESSES = ("worker", "scheduler")


class Command(BaseCommand):
    """Ends with 1 if what was asked for is not well; for the probes of containers and supervisors."""

    help = "Whether a worker or a scheduler of this machine is alive, or what a web process needs is there."
    # A probe must not import the assistants, nor fail for a setting that the process itself has started with.
    requires_system_checks: Any = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=(*PROCESSES, "ready"))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "ready":
            self._show_ready()
        else:
            self._show_processes(options["what"])

    def _show_ready(self) -> None:
        found = health.check()
        for name, answer in found.items():
            self.stdout.write(f"{name}: {answer}")
        if set(found.values()) != {health.UP}:
            raise CommandError("not ready", returncode=1)

    def _show_processes(self, kind: str) -> None:
        found = beats(kind)
        for beat in found:
            says = "".join(f", {name}: {str(value).lower()}" for name, value in beat.says.items())
            self.stdout.write(f"{kind} {beat.pid}: last went round {beat.seconds_ago:.1f} s ago{says}")
        if not any(beat.is_fresh for beat in found):
            raise CommandError(f"no {kind} of this machine and user is alive", returncode=1)
