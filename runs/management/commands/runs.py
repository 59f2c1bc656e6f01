"""manage.py runs"""

import getpass
import re
import time
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from runs.actors import Actor
from runs.errors import NotFound, RunError
from runs.management.run_tables import Output
from runs.models import Run
from runs.services.cancel import cancel_run
from runs.services.retry import retry_run
from runs.services.run_search import RunFilter, search_runs
from runs.services.runs import get_run
from runs.states import CancelAction, MultitaskStrategy, RunStatus

MOST = 10_000
REFUSED, NOT_FOUND, FAILED = 1, 3, 4
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """30s, 15m, 2h, 7d."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time such as 30s, 15m, 2h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def positive(text: str) -> int:
    """A number of rows."""
    if not text.isdigit() or not 1 <= int(text) <= MOST:
        raise ArgumentTypeError(f"give a number from 1 to {MOST}")
    return int(text)


class Command(BaseCommand):
    """Everything goes through the services; the history names the account on this machine."""

    help = "Look at runs, watch, cancel and retry them. Exit status: 0, 1 refused, 2 usage, 3 no such run, 4 it failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        common = ArgumentParser(add_help=False)
        common.add_argument("--json", action="store_true", help="one JSON object a line; so is what goes into a pipe")
        common.add_argument("--text", action="store_true", help="tables also into a pipe")
        listing = actions.add_parser("list", parents=[common], help="the newest runs that match")
        _add_filters(listing)
        watch = actions.add_parser("watch", parents=[common], help="a run's history as it happens, to its end")
        watch.add_argument("run", type=UUID)
        watch.add_argument("--every", type=float, default=0.5, help="seconds between two looks (default 0.5)")
        actions.add_parser("show", parents=[common], help="one run and its history").add_argument("run", type=UUID)
        cancel = actions.add_parser("cancel", parents=[common], help="stop runs")
        cancel.add_argument("run", type=UUID, nargs="+")
        cancel.add_argument("--rollback", action="store_true", help="return the thread to where the run began")
        cancel.add_argument("--force", action="store_true", help="kill the executing process at once")
        cancel.add_argument("--reason", default="")
        retry = actions.add_parser("retry", parents=[common], help="repeat runs that have ended, as new runs")
        retry.add_argument("run", type=UUID, nargs="+")
        retry.add_argument("--strategy", choices=MultitaskStrategy.values, default=MultitaskStrategy.ENQUEUE.value)
        retry.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options["json"] or not (options["text"] or self.stdout.isatty())
        self._output = Output(self.stdout, as_json=as_json)  # type: ignore[arg-type] # a TextIO in all but name
        try:
            getattr(self, f"_{options['action']}")(options)
        except KeyboardInterrupt:
            raise CommandError("stopped watching; the run goes on", returncode=130) from None
        except RunError as error:
            raise _complaint(error) from error

    def _list(self, options: dict[str, Any]) -> None:
        names = ("strategy", "assistant", "thread_id", "worker_id", "owner", "error_type", "within")
        wanted = RunFilter(statuses=options["status"] or (), **{name: options[name] for name in names})
        self._output.runs(search_runs(wanted, limit=options["limit"]))

    def _show(self, options: dict[str, Any]) -> None:
        run = get_run(run_id=options["run"], owner=None)
        self._output.run(run, run.events.all())

    def _watch(self, options: dict[str, Any]) -> None:
        run, seen = get_run(run_id=options["run"], owner=None), 0
        while True:
            for event in run.events.filter(pk__gt=seen):
                self._output.event(event)
                seen = event.pk
            run = Run.objects.get(pk=run.pk)
            if run.is_settled and not run.events.filter(pk__gt=seen).exists():
                break
            time.sleep(options["every"])
        if run.status != RunStatus.SUCCESS:
            raise CommandError(f"the run ended as {run.status}", returncode=FAILED)

    def _cancel(self, options: dict[str, Any]) -> None:
        action = CancelAction.ROLLBACK if options["rollback"] else CancelAction.INTERRUPT

        def cancel(run_id: UUID) -> Run:
            how: dict[str, Any] = {"action": action, "force": options["force"], "reason": options["reason"]}
            return cancel_run(run_id=run_id, actor=_actor(), **how)

        self._each(options["run"], cancel)

    def _retry(self, options: dict[str, Any]) -> None:
        def retry(run_id: UUID) -> Run:
            how = {"strategy": options["strategy"], "reason": options["reason"]}
            return retry_run(run_id=run_id, actor=_actor(), **how).run

        self._each(options["run"], retry)

    def _each(self, run_ids: list[UUID], change: Any) -> None:
        """One after the other, all of them; the worst that has happened is the exit status."""
        worst: CommandError | None = None
        changed: list[Run] = []
        for run_id in run_ids:
            try:
                changed.append(get_run(run_id=change(run_id).pk, owner=None))
            except RunError as error:
                complaint = _complaint(error, run_id)
                self.stderr.write(str(complaint))
                worst = complaint if worst is None or complaint.returncode > worst.returncode else worst
        self._output.runs(changed)
        if worst is not None:
            raise CommandError(f"{len(run_ids) - len(changed)} of {len(run_ids)} refused", returncode=worst.returncode)


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--status", choices=RunStatus.values, action="append", help="may be repeated")
    parser.add_argument("--strategy", choices=MultitaskStrategy.values)
    parser.add_argument("--assistant")
    parser.add_argument("--thread", type=UUID, dest="thread_id")
    parser.add_argument("--worker", type=UUID, dest="worker_id")
    parser.add_argument("--owner", help="the name of a user")
    parser.add_argument("--error", dest="error_type", help="the type of the error, such as ValueError")
    parser.add_argument("--since", type=duration, dest="within", help="created within 30s, 15m, 2h, 7d")
    parser.add_argument("--limit", type=positive, default=20, help="how many at most (default 20)")


def _actor() -> Actor:
    """Whoever may run this may reach everything; the name is that of the machine's account."""
    return Actor(name=f"cli:{getpass.getuser()}")


def _complaint(error: RunError, run_id: UUID | None = None) -> CommandError:
    text = f"{run_id}: {error.message}" if run_id else error.message
    return CommandError(text, returncode=NOT_FOUND if isinstance(error, NotFound) else REFUSED)
