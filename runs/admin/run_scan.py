"""How the runs that a filter matches are found at any size of the table: along an index, and so many rows at most.

An index leads to the runs of a status, an owner and the like, the newest first. What no index knows is looked for among
the newest LATEST of those, or of all runs; what is older is not looked at, and the page says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from runs.admin.run_terms import STATUSES, STOPPING, Pin
from runs.models import Run

LATEST = 100_000
#: What leads to few runs as a rule comes first.
NARROWEST = ("run", STOPPING, "thread", "error", "owner", "assistant", "status")


@dataclass(frozen=True)
class Bound:
    """The place in the order of the list up to which was looked; the run there is not among them."""

    at: datetime
    sequence: int

    @property
    def condition(self) -> Q:
        """What was looked at."""
        return newer_than(self.at, self.sequence)

    @property
    def until(self) -> str:
        """A value of the form's "created before" that goes on there. Browsers know no more than milliseconds."""
        at = self.at.astimezone(UTC) + timedelta(milliseconds=1)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}"


def pinned(pin: Pin) -> QuerySet[Run]:
    """The runs of one value, newest first.

    As a range of one value and in the index's order: for an equality the planner may read the whole table's newest
    instead, and look for them there.
    """
    if pin.about == "run":
        return Run.objects.filter(pk=pin.value).newest_first()
    if pin.about == STOPPING:  # few, in an index without an order
        leased = Run.objects.filter(leased=True).values("pk")[:LATEST]
        return Run.objects.filter(STATUSES[STOPPING], pk__in=leased).newest_first()
    column: Any = KeyTextTransform("type", "error") if pin.about == "error" else F(_COLUMNS.get(pin.about, pin.about))
    rows = Run.objects.filter(error__isnull=False) if pin.about == "error" else Run.objects.all()
    rows = rows.filter(GreaterThanOrEqual(column, pin.value), LessThanOrEqual(column, pin.value))
    return rows.order_by(column.asc(), "-created_at", "-sequence")


_COLUMNS = {"owner": "owner_id", "thread": "thread_id"}


def everything() -> QuerySet[Run]:
    """All runs, newest first."""
    return Run.objects.newest_first()


def bound_of(sources: Sequence[QuerySet[Run]]) -> Bound | None:
    """Where each source has given LATEST runs or has ended; None: all of them have ended."""
    parts: list[Any] = [source.values_list("created_at", "sequence")[LATEST : LATEST + 1] for source in sources]
    found = parts[0].union(*parts[1:], all=True) if parts[1:] else parts[0]
    return max(
        (Bound(at, sequence) for at, sequence in found), key=lambda bound: (bound.at, bound.sequence), default=None
    )


def merged(sources: Sequence[QuerySet[Run]], count: int, *, oldest_first: bool) -> QuerySet[Run]:
    """The next of several sources in one order; not more than `count` may be taken of them."""
    sources = [source.reverse() for source in sources] if oldest_first else sources
    if len(sources) == 1:
        return sources[0]
    first, *others = (source.values("pk")[:count] for source in sources)
    rows = Run.objects.filter(pk__in=first.union(*others, all=True)).newest_first()
    return rows.reverse() if oldest_first else rows


def older_than(at: datetime, sequence: int) -> Q:
    """After this place in the order of the list; in a form that an index answers."""
    return Q(created_at__lte=at) & (Q(created_at__lt=at) | Q(sequence__lt=sequence))


def newer_than(at: datetime, sequence: int) -> Q:
    """Before this place in the order of the list."""
    return Q(created_at__gte=at) & (Q(created_at__gt=at) | Q(sequence__gt=sequence))
