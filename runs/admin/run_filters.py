"""Which runs are meant: the filter of the list of runs, read from its address and from nowhere else.

The same filter shows the list and says which runs an action on "all that match" reaches. So whatever is not understood
matches nothing: a mistake must not widen what is cancelled.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from runs.admin.base import as_uuid
from runs.admin.run_search import Found, failed_with, search
from runs.models import Run, Worker
from runs.states import IN_FLIGHT, TERMINAL, MultitaskStrategy, RunStatus

#: Names of `status` that are no statuses: in flight; and ended while something still executes it.
ACTIVE, STOPPING = "active", "stopping"
STATUSES: dict[str, Q] = {
    ACTIVE: Q(status__in=sorted(IN_FLIGHT)),
    **{status.value: Q(status=status) for status in RunStatus},
    STOPPING: Q(status__in=sorted(TERMINAL), leased=True),
}
AGES = {
    "15m": ("15 minutes", timedelta(minutes=15)),
    "1h": ("hour", timedelta(hours=1)),
    "1d": ("24 hours", timedelta(days=1)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
#: What tells the pages of a list apart, and what the browser adds; not part of the filter.
_PLACES = frozenset({"before", "after"})

#: What an index leads to, in the names of fields and of the search, the narrowest first.
_LEADING = ("run id", "thread", "error", "error type", "owner", "assistant")
_TIMES = frozenset({"age", "since", "until"})


class NotUnderstood(ValueError):
    """A part of the filter says nothing that could be looked for; the message is for the operator."""


@dataclass
class RunFilter:
    """The filter as it was understood."""

    #: What was given, without what is empty; in the order of FIELDS.
    given: dict[str, str] = field(default_factory=dict)
    condition: Q = field(default_factory=Q)
    #: Without the status: what the tabs count within.
    condition_of_tabs: Q = field(default_factory=Q)
    #: The parts of it for which there is an index that has the newest first, by what they are about.
    leads: dict[str, Q] = field(default_factory=dict)
    #: The part of it that is about the time of creation, by which every index is ordered.
    times: Q = field(default_factory=Q)
    #: What the search was understood as, such as "thread = ..."; empty: there is no search.
    understood: str = ""
    mistakes: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, query: QueryDict) -> "RunFilter":
        """Understand the query string of a list of runs; what cannot be is among `mistakes`, and nothing matches."""
        read = cls()
        for name, values in query.lists():
            if name not in FIELDS and name not in _PLACES:
                read.mistakes.append(f"There is no filter “{name}”.")
            elif len(values) > 1:
                read.mistakes.append(f"The filter “{name}” is given more than once.")
        for name in FIELDS:
            if value := query.get(name, "").strip():
                read._add(name, value)
        return read

    def _add(self, name: str, value: str) -> None:
        self.given[name] = value
        try:
            if "\x00" in value:
                raise NotUnderstood("Text cannot contain the NUL character.")
            condition = self._search(value) if name == "q" else FIELDS[name](value)
        except NotUnderstood as error:
            self.mistakes.append(str(error))
            return
        self.condition &= condition
        if name == "status":
            return
        self.condition_of_tabs &= condition
        if name in _TIMES:
            self.times &= condition
        about = self.understood.partition(" =")[0] if name == "q" else name
        if about in _LEADING:
            self.leads[about] = condition

    def _search(self, text: str) -> Q:
        found: Found = search(text)
        if found.condition is None:
            raise NotUnderstood(found.words)
        self.understood = found.words
        return found.condition

    @property
    def lead(self) -> Q:
        """The one of `leads` that has the fewest rows as a rule; empty: there is none."""
        return next((self.leads[about] for about in _LEADING if about in self.leads), Q())

    @property
    def is_explicit(self) -> bool:
        """Whether anything was asked for: an empty filter never means everything."""
        return bool(self.given) and not self.mistakes

    def runs(self, among: QuerySet[Run] | None = None) -> QuerySet[Run]:
        """The runs that match among these or all, in no order; none if anything was not understood."""
        if self.mistakes:
            return Run.objects.none()
        return (Run.objects.all() if among is None else among).filter(self.condition)

    def address(self, **changes: str) -> str:
        """The query string of this filter with these values instead; an empty one leaves its name out."""
        wanted = {name: value for name, value in {**self.given, **changes}.items() if value}
        return f"?{urlencode(wanted)}" if wanted else "?"


def _status(value: str) -> Q:
    if value not in STATUSES:
        raise NotUnderstood(f"There is no status “{value}”.")
    return STATUSES[value]


def _strategy(value: str) -> Q:
    if value not in MultitaskStrategy.values:
        raise NotUnderstood(f"There is no multitask strategy “{value}”.")
    return Q(multitask_strategy=value)


def _owner(value: str) -> Q:
    owner = get_user_model()._default_manager.filter(username=value).values_list("pk", flat=True).first()
    if owner is None:
        raise NotUnderstood(f"There is no user “{value}”.")
    return Q(owner=owner)


def _thread(value: str) -> Q:
    if (thread := as_uuid(value)) is None:
        raise NotUnderstood(f"“{value}” is not the id of a thread.")
    return Q(thread=thread)


def _worker(value: str) -> Q:
    """By the id of one life of a worker, or by the name of its host, which has had several."""
    if (worker := as_uuid(value)) is not None:
        return Q(worker=worker)
    lives = list(Worker.objects.filter(host=value).order_by("-started_at").values_list("pk", flat=True)[:100])
    if not lives:
        raise NotUnderstood(f"There is no worker on a host “{value}”.")
    return Q(worker__in=lives)


def _age(value: str) -> Q:
    if value not in AGES:
        raise NotUnderstood(f"“{value}” is not one of the times to choose from.")
    return Q(created_at__gte=timezone.now() - AGES[value][1])


def _time(value: str) -> datetime:
    try:
        found = parse_datetime(value)
    except ValueError:
        found = None
    if found is None:
        raise NotUnderstood(f"“{value}” is not a time such as 2026-11-29T14:00.")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


#: name -> what its value means. "q" is the search; see RunFilter._search.
FIELDS: dict[str, Callable[[str], Any]] = {
    "status": _status,
    "strategy": _strategy,
    "assistant": lambda value: Q(assistant=value),
    "worker": _worker,
    "owner": _owner,
    "thread": _thread,
    "error": failed_with,
    "age": _age,
    "since": lambda value: Q(created_at__gte=_time(value)),
    "until": lambda value: Q(created_at__lt=_time(value)),
    "q": None,  # type: ignore[dict-item]
}
