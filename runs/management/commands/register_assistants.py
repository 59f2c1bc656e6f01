"""manage.py register_assistants"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from runs.services import registration


class Command(BaseCommand):
    """Write down what can be executed here, so that processes which cannot import it know it."""

    help = "Register the functions and graphs of this installation as assistants. Belongs after `migrate`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", help="only these; otherwise all")
        parser.add_argument("--prune", action="store_true", help="forget those that this installation does not have")

    def handle(self, *args: Any, **options: Any) -> None:
        done = registration.register_assistants(names=options["names"] or None)
        for name in done.names:
            if name in done.problems:
                self.stderr.write(f"{name}: {done.problems[name]}")
            else:
                self.stdout.write(f"{name}: registered")
        for name in registration.forget_others() if options["prune"] else []:
            self.stdout.write(f"{name}: forgotten")
