"""The grammar of the search of the list of runs; what a term means is said in run_terms.

search = clause { ["AND"] clause }            all of the clauses
clause = term { "OR" term }                   at least one of its terms: OR binds closer than the space
term   = ["-" | "NOT"] [kind ":"] value
value  = a word, or any text in double quotes, where a backslash takes the next character as it is
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

LONGEST = 1_000
MOST_TERMS = 20
PARENTHESES = (
    "Parentheses are not understood, and not needed: OR binds closer than the space between terms, so “a OR b c” is "
    "(a or b) and c. Put a value that has parentheses into double quotes."
)


class NotUnderstood(ValueError):
    """Something says nothing that could be looked for; the message is for the operator."""


@dataclass(frozen=True)
class Literal:
    """A term as it was written; `kind` empty: only a value."""

    kind: str
    value: str
    is_quoted: bool = False
    is_negated: bool = False

    @property
    def text(self) -> str:
        """As it would be written again, without the negation."""
        return (f"{self.kind}:" if self.kind else "") + self.value

    @property
    def written(self) -> str:
        """A term that is read as this one."""
        escaped = re.sub(r'(["\\])', r"\\\1", self.value)
        value = f'"{escaped}"' if self.is_quoted else self.value
        return ("-" if self.is_negated else "") + (f"{self.kind}:" if self.kind else "") + value


Clause = tuple[Literal, ...]
_TERM = re.compile(
    r"""
    (?P<minus>-?)
    (?: (?P<kind> [^\s:"()<>-] [^\s:"()<>]* ) : \s* )?
    (?: "(?P<quoted> (?: \\. | [^"\\] )* )" | (?P<word> [^\s"()]+ ) )?
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = ("OR", "AND", "NOT")


def parse(text: str) -> list[Clause]:
    """The clauses of a search, at least one; raises NotUnderstood with what is wrong and what would be right."""
    if len(text) > LONGEST:
        raise NotUnderstood(f"A search has at most {LONGEST:,} characters.")
    clauses = _clauses(_literals(text))
    if not clauses:
        raise NotUnderstood("There is no term in it.")
    if sum(map(len, clauses)) > MOST_TERMS:
        raise NotUnderstood(f"A search has at most {MOST_TERMS} terms.")
    return clauses


def _literals(text: str) -> Iterator[Literal]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        found = cast("re.Match[str]", _TERM.match(text, place))  # every part of it may be empty
        place = found.end()
        if place < len(text) and not text[place].isspace():
            raise NotUnderstood(_complaint(text[place], found))
        yield _literal(found)


def _complaint(stopped_at: str, found: "re.Match[str]") -> str:
    if stopped_at in "()":
        return PARENTHESES
    if stopped_at == '"' and found["quoted"] is None and found["word"] is None:
        return "A double quote is opened and not closed."
    return f'Double quotes go around a whole value, as in owner:"Ada L."; not in the middle, as at “{found[0]}”.'


def _literal(found: "re.Match[str]") -> Literal:
    quoted, word, kind = found["quoted"], found["word"], found["kind"] or ""
    value = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else word or ""
    if not value.strip():
        raise NotUnderstood(f"“{found[0].strip()}” has no value.")
    return Literal(kind, value, is_quoted=quoted is not None, is_negated=bool(found["minus"]))


def _clauses(literals: Iterator[Literal]) -> list[Clause]:
    """OR joins a term to the clause before it; a word that joins must have terms to join."""
    clauses: list[Clause] = []
    awaits = ""
    negates = joins = False
    for literal in literals:
        if word := _word(literal):
            if word == "NOT" and not negates:
                negates, awaits = True, word
                continue
            if awaits or not clauses:
                raise NotUnderstood(f"There is no term before “{word}”.")
            awaits, joins = word, word == "OR"
            continue
        term = Literal(literal.kind, literal.value, literal.is_quoted, literal.is_negated != negates)
        if joins:
            clauses[-1] += (term,)
        else:
            clauses.append((term,))
        awaits, negates, joins = "", False, False
    if awaits:
        raise NotUnderstood(f"There is no term after “{awaits}”.")
    return clauses


def _word(literal: Literal) -> str:
    """The word of the grammar that it is, or nothing."""
    plain = not (literal.kind or literal.is_quoted or literal.is_negated)
    return literal.value if plain and literal.value in _WORDS else ""
