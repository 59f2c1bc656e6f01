"""Which runs are meant: the filter of the list of runs, read from its address and from nowhere else.

The same filter shows the list, exports it and says which runs an action on "all that match" reaches. So whatever is not
understood matches nothing: a mistake must not widen what is cancelled.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from runs.admin import run_scan
from runs.admin.base import as_uuid
from runs.admin.run_lookup import look_up
from runs.admin.run_search import POSSIBLE, Clause, NotUnderstood, Search, words_of
from runs.admin.run_terms import Known, Pin, Term, failed_with, owner_key, status, strategy, time_of
from runs.models import Run

AGES = {
    "15m": ("15 minutes", timedelta(minutes=15)),
    "1h": ("hour", timedelta(hours=1)),
    "1d": ("24 hours", timedelta(days=1)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
#: What tells the pages of a list apart; not part of the filter.
_PLACES = frozenset({"before", "after"})
SEARCH = "q"


@dataclass
class RunFilter:
    """The filter as it was understood."""

    #: What was given, without what is empty; in the order of FIELDS.
    given: dict[str, str] = field(default_factory=dict)
    #: The same, but the search says the kind of each of its terms; see Search.exact.
    exact: dict[str, str] = field(default_factory=dict)
    #: What it asks for, by field; the search may have several.
    clauses: list[tuple[str, Clause]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    #: What can be searched for, in a sentence, if the search is among the mistakes.
    possible: str = ""

    @classmethod
    def parse(cls, query: QueryDict) -> "RunFilter":
        """Understand the query string of a list of runs; what cannot be is among `mistakes`, and nothing matches.

        One statement at most, whatever is asked for.
        """
        read = cls()
        for name, values in query.lists():
            if name not in FIELDS and name not in _PLACES:
                read.mistakes.append(f"There is no filter “{name}”.")
            elif len(values) > 1:
                read.mistakes.append(f"The filter “{name}” is given more than once.")
        read.given = {name: value for name in FIELDS if (value := query.get(name, "").strip())}
        read.exact = dict(read.given)
        read._understand()
        return read

    def _understand(self) -> None:
        known = look_up(self._lookups())
        for name, value in self.given.items():
            if name == SEARCH:
                continue
            try:
                self.clauses.append((name, Clause((FIELDS[name](_text(value), known),))))
            except NotUnderstood as error:
                self.mistakes.append(_sentence(error))
        if self._search is not None:
            try:
                self.clauses += [(SEARCH, clause) for clause in self._search.clauses(known)]
                self.exact[SEARCH] = self._search.exact(known)
            except NotUnderstood as error:
                self._misunderstand(error)

    def _lookups(self) -> Iterator[tuple[str, str]]:
        for name, table in (("owner", "owner"), ("worker", "host")):
            value = self.given.get(name, "")
            if value and "\x00" not in value and not (name == "worker" and as_uuid(value)):
                yield table, value
        if self._search is not None:
            yield from self._search.lookups

    @cached_property
    def _search(self) -> Search | None:
        """The search, if it follows the grammar; asked for once, so that a mistake is noted once."""
        if SEARCH not in self.given:
            return None
        try:
            return Search(_text(self.given[SEARCH]))
        except NotUnderstood as error:
            self._misunderstand(error)
            return None

    def _misunderstand(self, error: NotUnderstood) -> None:
        self.mistakes.append(f"Not understood: {error}")
        self.possible = POSSIBLE

    @property
    def understood(self) -> str:
        """What the search was understood as; empty: there is none, or it was not."""
        return words_of([clause for name, clause in self.clauses if name == SEARCH])

    @property
    def words(self) -> str:
        """What all of it was understood as."""
        return words_of([clause for _, clause in self.clauses])

    @property
    def is_explicit(self) -> bool:
        """Whether anything was asked for: an empty filter never means everything."""
        return bool(self.given) and not self.mistakes

    @property
    def condition(self) -> Q:
        """True of what matches, however long ago it was."""
        return _all(clause for _, clause in self.clauses)

    @property
    def condition_of_tabs(self) -> Q:
        """Without the status that a tab is: what the tabs count within."""
        return _all(clause for name, clause in self.clauses if name != "status")

    @property
    def times(self) -> Q:
        """The part of it that is about the time of creation, by which every index is ordered."""
        return _all(clause for _, clause in self.clauses if clause.is_time)

    @property
    def pin_of_tabs(self) -> Pin | None:
        """What leads to the runs whatever their status, if that is one thing."""
        lead = _narrowest([clause for name, clause in self.clauses if name != "status"])
        return lead.pins[0] if lead is not None and len(lead.pins) == 1 and lead.pins[0].about != "status" else None

    @cached_property
    def lead(self) -> Clause | None:
        """The clause whose index leads to the fewest runs as a rule; None: no index leads to what is asked for."""
        return _narrowest([clause for _, clause in self.clauses])

    @cached_property
    def bound(self) -> run_scan.Bound | None:
        """Up to where is looked for what no index knows; None: everywhere. One statement, if there is such a thing."""
        if self.mistakes or not self._remainder:
            return None
        return run_scan.bound_of([source.filter(self.times) for source in self._sources])

    @property
    def runs_searched(self) -> str:
        """What was searched if there is a bound, for people."""
        of = f" of {self.lead.words}" if self.lead else ""
        return f"the newest {run_scan.LATEST:,} runs{of}"

    @property
    def _sources(self) -> list[QuerySet[Run]]:
        return [run_scan.pinned(pin) for pin in self.lead.pins] if self.lead else [run_scan.everything()]

    @property
    def _remainder(self) -> Q:
        """What must be looked at run by run."""
        return _all(clause for _, clause in self.clauses if clause is not self.lead and not clause.is_time)

    @property
    def _bounded(self) -> Q:
        return self.bound.condition if self.bound else Q()

    def runs(self, among: QuerySet[Run] | None = None) -> QuerySet[Run]:
        """The runs that match among these or all, in no order; none if anything was not understood."""
        if self.mistakes:
            return Run.objects.none()
        return (Run.objects.all() if among is None else among).filter(self.condition, self._bounded)

    def next_runs(self, count: int, *, place: Q | None = None, oldest_first: bool = False) -> QuerySet[Run]:
        """The same runs in the order of the list, of which no more than `count` may be taken; found along an index."""
        if self.mistakes:
            return Run.objects.none()
        wanted = (self.times, self._remainder, self._bounded, place or Q())
        return run_scan.merged([source.filter(*wanted) for source in self._sources], count, oldest_first=oldest_first)

    def address(self, **changes: str) -> str:
        """The query string of this filter with these values instead; an empty one leaves its name out."""
        return _address({**self.given, **changes})

    @property
    def exact_address(self) -> str:
        """The query string for what is done or kept later, when a name alone may mean something else."""
        return _address(self.exact)


def _address(values: dict[str, str]) -> str:
    wanted = {name: value for name, value in values.items() if value}
    return f"?{urlencode(wanted)}" if wanted else "?"


def _all(clauses: Iterator[Clause]) -> Q:
    wanted = Q()
    for clause in clauses:
        wanted &= clause.condition
    return wanted


def _narrowest(clauses: list[Clause]) -> Clause | None:
    return min((clause for clause in clauses if clause.pins), key=lambda clause: clause.width, default=None)


def _text(value: str) -> str:
    if "\x00" in value:
        raise NotUnderstood("text cannot contain the NUL character.")
    return value


def _sentence(error: NotUnderstood) -> str:
    words = str(error)
    return words[:1].upper() + words[1:]


def _owner(value: str, known: Known) -> Term:
    keys = known.get(("owner", value))
    if not keys:
        raise NotUnderstood(f"there is no user “{value}”.")
    key = owner_key(keys)
    return Term(f"owner = {value}", Q(owner=key), (Pin("owner", key),))


def _thread(value: str, known: Known) -> Term:
    if (thread := as_uuid(value)) is None:
        raise NotUnderstood(f"“{value}” is not the id of a thread.")
    return Term(f"thread = {value}", Q(thread=thread), (Pin("thread", thread),))


def _worker(value: str, known: Known) -> Term:
    """By the id of one life of a worker, or by the name of its host, which has had several."""
    lives = [value] if as_uuid(value) else known.get(("host", value))
    if not lives:
        raise NotUnderstood(f"there is no worker on a host “{value}”.")
    return Term(f"worker = {value}", Q(worker__in=lives))


def _age(value: str, known: Known) -> Term:
    if value not in AGES:
        raise NotUnderstood(f"“{value}” is not one of the times to choose from.")
    return Term(
        f"created in the last {AGES[value][0]}", Q(created_at__gte=timezone.now() - AGES[value][1]), is_time=True
    )


def _assistant(value: str, known: Known) -> Term:
    return Term(f"assistant = {value}", Q(assistant=value), (Pin("assistant", value),))


def _error(value: str, known: Known) -> Term:
    return Term(f"error type = {value}", failed_with(value), (Pin("error", value),))


def _since(value: str, known: Known) -> Term:
    return Term(f"created since {value}", Q(created_at__gte=time_of(value)), is_time=True)


def _until(value: str, known: Known) -> Term:
    return Term(f"created before {value}", Q(created_at__lt=time_of(value)), is_time=True)


def _nothing(value: str, known: Known) -> Term:
    raise NotUnderstood("the search is understood elsewhere.")


#: name -> what its value means. "q" is the search; see RunFilter._understand.
FIELDS: dict[str, Callable[[str, Known], Term]] = {
    "status": status,
    "strategy": strategy,
    "assistant": _assistant,
    "worker": _worker,
    "owner": _owner,
    "thread": _thread,
    "error": _error,
    "age": _age,
    "since": _since,
    "until": _until,
    SEARCH: _nothing,
}
