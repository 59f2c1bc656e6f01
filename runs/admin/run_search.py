"""The search of the list of runs: from its text to what it was understood as, with a word on what is possible."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

from runs.admin.run_query import Clause as Written
from runs.admin.run_query import NotUnderstood, parse
from runs.admin.run_scan import NARROWEST
from runs.admin.run_terms import Known, Pin, Term, tables_of, understand, with_kind

POSSIBLE = (
    "Possible are: a whole id of a run, thread or worker; the exact name of an assistant, user or kind of error; and "
    "run: thread: worker: assistant: owner: error: status: strategy: model: by: reason: metadata.KEY: created: ran: "
    "waited: with a value. Several terms must all match; OR between two, and - or NOT before one, are understood; a "
    "value with spaces goes into double quotes."
)
#: For the page: what may be written, and what it means.
SEARCH_HELP = (
    ("an id or a name", "of a run, thread, worker; of an assistant, user, kind of error: whichever exists"),
    ("run: thread: worker: assistant: owner: error:", "the same, when you say which"),
    ("status:error", "or pending, running, success, timeout, interrupted, active (in flight), stopping"),
    ("strategy: model: by:", "exactly this multitask strategy, model, or who cancelled, such as by:operator:ada"),
    ("reason:document", "the reason contains this, in capitals or not"),
    ("metadata.customer:acme", "this member of the metadata is acme; 5 and true are also looked for as text"),
    ("created:>2h", "in the last two hours; created:<2h before that; created:<2026-11-01 before that day (UTC)"),
    ("ran:>30s waited:<500ms", "longer or shorter; ms, s, m, h, d, w; until now if it has not ended"),
    ("status:error owner:acme", "all of them must match"),
    ("status:error OR status:timeout", "one of them; OR binds closer than a space, so no parentheses are needed"),
    ("-owner:acme, NOT owner:acme", "does not match"),
    ('owner:"Ada L."', "a value with spaces, colons or parentheses"),
)


@dataclass(frozen=True)
class Clause:
    """Terms of which at least one matches."""

    terms: tuple[Term, ...]

    @property
    def words(self) -> str:
        """What it asks for."""
        return " OR ".join(term.words for term in self.terms)

    @property
    def condition(self) -> Q:
        """True of the runs that match."""
        return reduce(or_, (term.condition for term in self.terms))

    @property
    def pins(self) -> tuple[Pin, ...]:
        """What an index leads to, if one does for each of the terms."""
        known = all(term.pins for term in self.terms)
        return tuple(dict.fromkeys(pin for term in self.terms for pin in term.pins)) if known else ()

    @property
    def is_time(self) -> bool:
        """Whether it is about the time of creation and nothing else."""
        return len(self.terms) == 1 and self.terms[0].is_time

    @property
    def width(self) -> int:
        """How wide the widest of its pins is; it must have some."""
        return max(NARROWEST.index(pin.about) for pin in self.pins)


class Search:
    """A text that follows the grammar. Raises NotUnderstood if it does not."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._written: Sequence[Written] = parse(text)

    @property
    def lookups(self) -> Iterator[tuple[str, str]]:
        """What must be looked up before it can be understood."""
        for clause in self._written:
            for literal in clause:
                yield from ((table, literal.value) for table in tables_of(literal))

    def clauses(self, known: Known) -> list[Clause]:
        """What it means. Raises NotUnderstood for the first term that means nothing."""
        return [Clause(tuple(understand(literal, known) for literal in clause)) for clause in self._written]

    def exact(self, known: Known) -> str:
        """The same search with the kind of every term, so that it cannot come to mean something else; as it was written
        if that says it. Raises NotUnderstood."""
        if all(literal.kind for clause in self._written for literal in clause):
            return self._text
        clauses = ([with_kind(literal, known).written for literal in clause] for clause in self._written)
        return " ".join(" OR ".join(clause) for clause in clauses)


def words_of(clauses: Sequence[Clause]) -> str:
    """What was understood, for people."""
    return ", AND ".join(clause.words for clause in clauses)


__all__ = ["POSSIBLE", "Clause", "NotUnderstood", "Search", "words_of"]
