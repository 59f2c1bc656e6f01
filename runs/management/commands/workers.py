"""manage.py workers"""

import getpass
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from runs.actors import Actor
from runs.errors import NotFound, RunError
from runs.management.commands.runs import FAILED, NOT_FOUND, REFUSED
from runs.management.run_tables import Output
from runs.management.worker_tables import COLUMNS, worker_rows
from runs.models import Run
from runs.services.draining import drain_worker, resume_worker

LOOK_EVERY_SECONDS = 0.5


class Command(BaseCommand):
    """Everything goes through the services; the log names the account on this machine."""

    help = (
        "Look at workers, drain and resume them. Exit status: 0, 1 refused, 2 usage, 3 no such worker, 4 it still "
        "executes runs after --wait."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        common = ArgumentParser(add_help=False)
        common.add_argument("--json", action="store_true", help="one JSON object a line; so is what goes into a pipe")
        common.add_argument("--text", action="store_true", help="tables also into a pipe")
        listing = actions.add_parser("list", parents=[common], help="the workers that have not ended, the latest first")
        listing.add_argument("--all", action="store_true", help="those that have ended, too")
        drain = actions.add_parser("drain", parents=[common], help="let workers finish, and take nothing new")
        drain.add_argument("worker", type=UUID, nargs="+")
        drain.add_argument("--reason", default="")
        drain.add_argument("--wait", type=float, metavar="SECONDS", help="until they execute nothing, at most so long")
        resume = actions.add_parser("resume", parents=[common], help="let drained workers take runs again")
        resume.add_argument("worker", type=UUID, nargs="+")
        resume.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options["json"] or not (options["text"] or self.stdout.isatty())
        self._output = Output(self.stdout, as_json=as_json)  # type: ignore[arg-type] # a TextIO in all but name
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        self._output.table(worker_rows(ended=options["all"]), COLUMNS, "no workers")

    def _drain(self, options: dict[str, Any]) -> None:
        self._each(options, drain_worker)

    def _resume(self, options: dict[str, Any]) -> None:
        self._each(options, resume_worker)

    def _each(self, options: dict[str, Any], change: Callable[..., bool]) -> None:
        """One after the other, all of them; the worst that has happened is the exit status."""
        worst, changed = 0, []
        for worker_id in options["worker"]:
            try:
                change(worker_id=worker_id, actor=_actor(), reason=options["reason"])
                changed.append(worker_id)
            except RunError as error:
                self.stderr.write(f"{worker_id}: {error.message}")
                worst = max(worst, NOT_FOUND if isinstance(error, NotFound) else REFUSED)
        busy = options.get("wait") is not None and not _wait_until_idle(changed, options["wait"])
        self._output.table(worker_rows(ended=True, only=changed), COLUMNS, "no workers")
        if worst:
            count = len(options["worker"])
            raise CommandError(f"{count - len(changed)} of {count} refused", returncode=worst)
        if busy:
            raise CommandError("they still execute runs; they stay drained", returncode=FAILED)


def _wait_until_idle(worker_ids: Sequence[UUID], seconds: float) -> bool:
    """Whether none of them holds a run any more."""
    deadline = time.monotonic() + seconds
    while Run.objects.leased().filter(worker__in=worker_ids).exists():
        if time.monotonic() >= deadline:
            return False
        time.sleep(LOOK_EVERY_SECONDS)
    return True


def _actor() -> Actor:
    """Whoever may run this may reach everything; the name is that of the machine's account."""
    return Actor(name=f"cli:{getpass.getuser()}")
