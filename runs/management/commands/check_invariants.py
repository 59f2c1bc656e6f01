"""`manage.py check_invariants`: is everything that the tables say consistent?"""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from itertools import chain
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from runs.services.invariants import find_violations, missing_constraints


class Command(BaseCommand):
    """Print broken invariants, one a line, and end with 1 if there are any. Reads only; safe on a live server."""

    help = "Check every invariant that the database can show; prints violations, one a line, and ends with 1 then."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--thread", type=UUID, action="append", help="only this thread; may be repeated")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        schema = () if options["thread"] else missing_constraints()
        for violation in chain(schema, find_violations(options["thread"])):
            count += 1
            self.stdout.write(json.dumps(asdict(violation)) if options["json"] else str(violation))
        if count:
            raise CommandError(f"{count} violations found", returncode=1)
        if not options["json"]:
            self.stdout.write("no violations")
