"""One page of the list of runs: the rows, and the way to newer and older ones.

Fast at any number of runs: pages go on from a place in the order and not from a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Left
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from runs.admin.json_text import masked
from runs.admin.run_filters import RunFilter
from runs.admin.run_scan import Bound, newer_than, older_than
from runs.admin.words import duration
from runs.models import Run
from runs.services.runs import queue_positions_of
from runs.states import RunStatus

PER_PAGE = 50
_ICONS = {"pending": "◷", "running": "▶", "success": "✓", "error": "✕", "timeout": "⧖", "interrupted": "■"}
# fmt: off
_SHOWN = (
    "id", "sequence", "thread_id", "owner__username", "assistant", "status", "multitask_strategy",
    "attempt", "max_attempts", "worker__host", "leased", "reason", "cancel_action", "cancelled_by",
    "displaced_by_id", "retry_of_id", "not_before", "dispatched_at", "created_at", "started_at",
    "finished_at", "deleted_at", "thread__deleted_at",
)
# fmt: on


@dataclass
class Row:
    """A run as a line of the list."""

    run: Run
    now: datetime
    #: How many runs of its thread go before it; None: it does not wait.
    place: int | None

    @property
    def waited(self) -> str:
        """From its acceptance to its first attempt, or to its end without one, or until now."""
        return duration((self.run.started_at or self.run.finished_at or self.now) - self.run.created_at)

    @property
    def ran(self) -> str:
        """From its first attempt to its end, or until now; empty: it never began."""
        began = self.run.started_at
        return "" if began is None else duration((self.run.finished_at or self.now) - began)

    @property
    def age(self) -> str:
        """How long ago it was accepted."""
        return duration(self.now - self.run.created_at)

    @property
    def icon(self) -> str:
        """The sign of its status, which does not say it by colour alone."""
        return _ICONS[self.run.status]

    @property
    def is_hidden(self) -> bool:
        """Whether it or its thread was deleted: it is shown here until its row goes, and nowhere else."""
        return self.run.deleted_at is not None or self.run.thread.deleted_at is not None

    @property
    def possible(self) -> list[str]:
        """The names of the actions that can be done to it now."""
        if self.is_hidden:
            return []
        fits = {"cancel": self.run.is_in_flight, "retry": self.run.is_terminal, "force_stop": self.run.leased}
        return [name for name, fit in fits.items() if fit]

    @property
    def note(self) -> str:
        """What to know about it in a line: its error, who cancelled it and why, or what it waits for."""
        run: Any = self.run
        if run.error_type:
            return str(masked(f"{run.error_type}: {run.error_message or ''}"))
        if run.cancelled_by:
            return _cancellation(run)
        if run.status == RunStatus.PENDING:
            return self._waiting()
        return ""

    def _waiting(self) -> str:
        if self.run.not_before is not None and self.run.not_before > self.now:
            return f"scheduled for {self.run.not_before:%Y-%m-%d %H:%M:%S} UTC"
        if self.place:
            return f"behind {self.place} of its thread"
        return "next of its thread" + ("" if self.run.dispatched_at else ", which is not free yet")


def _cancellation(run: Run) -> str:
    how = "rolled back" if run.cancel_action == "rollback" else "cancelled"
    why = "" if run.reason == f"cancelled by {run.cancelled_by}" else f": {run.reason}"
    return f"{how} by {run.cancelled_by}{why}"


@dataclass
class RunPage:
    """A page of the list: its rows, and the places before and after them if there is anything there."""

    rows: list[Row]
    newer: str = ""
    older: str = ""


def read_page(wanted: RunFilter, query: QueryDict) -> RunPage:
    """Read the page at the place that the query names: the newest one if it names none that is understood."""
    before, after = parse_place(query.get("before")), parse_place(query.get("after"))
    if after is not None:
        found = _read(wanted, newer_than(*after), oldest_first=True)
        shown = found[:PER_PAGE][::-1]
        return _page(shown, newer=len(found) > PER_PAGE, older=bool(shown))
    found = _read(wanted, older_than(*before) if before is not None else Q())
    return _page(found[:PER_PAGE], newer=before is not None, older=len(found) > PER_PAGE)


def _read(wanted: RunFilter, place: Q, *, oldest_first: bool = False) -> list[Run]:
    """The rows of a page, and one more if there is one."""
    runs: Any = wanted.next_runs(PER_PAGE + 1, place=place, oldest_first=oldest_first)
    runs = runs.select_related("owner", "worker", "thread").only(*_SHOWN)
    runs = runs.annotate(
        error_type=KeyTextTransform("type", "error"), error_message=Left(KeyTextTransform("message", "error"), 300)
    )
    return list(runs[: PER_PAGE + 1])


def _page(shown: Sequence[Run], *, newer: bool, older: bool) -> RunPage:
    places = queue_positions_of({run.thread_id for run in shown if run.status == RunStatus.PENDING})
    now = timezone.now()
    return RunPage(
        rows=[Row(run, now, places.get(run.pk)) for run in shown],
        newer=place_of(shown[0]) if newer and shown else "",
        older=place_of(shown[-1]) if older and shown else "",
    )


def place_of(run: Run) -> str:
    """The place of a run in the order of the list, for an address."""
    return _place(run.created_at, run.sequence)


def place_of_bound(bound: Bound) -> str:
    """The place up to which was looked, in the same form."""
    return _place(bound.at, bound.sequence)


def _place(at: datetime, sequence: int) -> str:
    return f"{at.isoformat()}~{sequence}"


def parse_place(text: str | None) -> tuple[datetime, int] | None:
    """The place that `place_of` has written; None if it is none."""
    moment, _, sequence = (text or "").partition("~")
    try:
        at = parse_datetime(moment.replace(" ", "+"))
    except ValueError:
        return None
    known = at is not None and at.tzinfo is not None and sequence.isascii() and sequence.isdigit()
    return (at, int(sequence)) if at and known and len(sequence) < 19 else None  # noqa: PLR2004 - 64 bits
