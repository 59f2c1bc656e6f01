"""What can be looked for in the list of runs: of each kind of term the condition, its words, and the index if one leads
to it. The fields of the form and the search mean the same by the same kind."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import F, Q, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, GreaterThan, LessThan
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from runs.admin.base import as_uuid
from runs.admin.run_query import Literal, NotUnderstood
from runs.states import IN_FLIGHT, TERMINAL, MultitaskStrategy, RunStatus

#: Names of `status` that are no statuses: in flight; and ended while something still executes it.
ACTIVE, STOPPING = "active", "stopping"
STATUSES: dict[str, Q] = {
    ACTIVE: Q(status__in=sorted(IN_FLIGHT)),
    **{status.value: Q(status=status) for status in RunStatus},
    STOPPING: Q(status__in=sorted(TERMINAL), leased=True),
}


@dataclass(frozen=True)
class Pin:
    """A value of something that an index leads to; see run_scan."""

    about: str
    value: Any


@dataclass(frozen=True)
class Term:
    """A term as it was understood. Django's negation of the condition is true of every run that does not match."""

    words: str
    condition: Q
    #: The rows that match it are those that are pinned by one of these; empty: no index leads to them.
    pins: tuple[Pin, ...] = ()
    #: About the time of creation, by which every index is ordered.
    is_time: bool = False

    def negated(self) -> "Term":
        """What it does not match."""
        return Term(f"NOT {self.words}", ~self.condition, is_time=self.is_time)


#: (table, value) -> the keys of its rows that have it; see run_lookup.
Known = Mapping[tuple[str, str], list[str]]


def understand(literal: Literal, known: Known) -> Term:
    """The term that was meant; raises NotUnderstood."""
    term = _affirmed(literal, known)
    return term.negated() if literal.is_negated else term


def with_kind(literal: Literal, known: Known) -> Literal:
    """The term with the kind that it has now: a name alone is of the first table that has it, which may be another one
    later. Raises NotUnderstood if none has it."""
    if literal.kind:
        return literal
    tables = tables_of(literal)
    for table in tables:
        if known.get((table, literal.value)):
            return replace(literal, kind=table, is_quoted=True)
    what = "run, thread or worker with this id" if tables is IDS else f"assistant, user or error “{literal.value}”"
    raise NotUnderstood(f"there is no {what}.")


def _affirmed(literal: Literal, known: Known) -> Term:
    literal = with_kind(literal, known)
    if literal.kind.lower().startswith(METADATA):
        return _metadata(literal)
    meaning = KINDS.get(literal.kind.lower())
    if meaning is None:
        raise NotUnderstood(f"there is no kind “{literal.kind}”; a name with a colon goes into double quotes.")
    return meaning(literal.value, known)


def tables_of(literal: Literal) -> tuple[str, ...]:
    """Where to look up its value before it can be understood, the first that has it first."""
    if literal.kind:
        return (literal.kind.lower(),) if literal.kind.lower() in _NAMES else ()
    return IDS if as_uuid(literal.value) else NAMED


IDS = ("run", "thread", "worker")
NAMED = ("assistant", "owner", "error")
_NAMES = {"run": "run id", "thread": "thread", "worker": "worker", "assistant": "assistant"}
_NAMES |= {"owner": "owner", "error": "error type"}


def _existing(table: str, value: str, known: Known) -> Term:
    keys = known.get((table, value))
    if not keys:
        raise NotUnderstood(f"there is no {_NAMES[table]} “{value}”.")
    words = f"{_NAMES[table]} = {value}"
    if table == "worker":
        return Term(words, Q(worker=keys[0]))
    if table == "error":
        return Term(words, failed_with(value), (Pin("error", value),))
    key = owner_key(keys) if table == "owner" else value if table == "assistant" else keys[0]
    return Term(words, Q(**{"pk" if table == "run" else table: key}), (Pin(table, key),))


def owner_key(keys: list[str]) -> Any:
    """The key of a user that was looked up."""
    return get_user_model()._meta.pk.to_python(keys[0])


def failed_with(kind: str) -> Q:
    """Runs whose error is of this type; as text, which the index holds, and not as JSON."""
    return Q(error__isnull=False) & Q(Exact(KeyTextTransform("type", "error"), Value(kind)))


def status(value: str, known: Known) -> Term:
    """One of STATUSES."""
    if value not in STATUSES:
        raise NotUnderstood(f"there is no status “{value}”. There are: {', '.join(STATUSES)}.")
    names = sorted(IN_FLIGHT) if value == ACTIVE else (value,)
    pins = (Pin(STOPPING, True),) if value == STOPPING else tuple(Pin("status", str(name)) for name in names)
    return Term(f"status = {value}", STATUSES[value], pins)


def strategy(value: str, known: Known) -> Term:
    """One of the multitask strategies."""
    if value not in MultitaskStrategy.values:
        raise NotUnderstood(
            f"there is no multitask strategy “{value}”. There are: {', '.join(MultitaskStrategy.values)}."
        )
    return Term(f"strategy = {value}", Q(multitask_strategy=value))


METADATA = "metadata."
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?")


def _metadata(literal: Literal) -> Term:
    """A member of the metadata, by containment. What could be a number or truth value is looked for as text, too."""
    key = literal.kind[len(METADATA) :]
    if not key:
        raise NotUnderstood("metadata. needs the name of a member, as in metadata.customer:acme.")
    found = Q(metadata__contains={key: literal.value})
    if not literal.is_quoted and literal.value in ("true", "false"):
        found |= Q(metadata__contains={key: literal.value == "true"})
    elif not literal.is_quoted and _NUMBER.fullmatch(literal.value):
        number = float(literal.value) if "." in literal.value else int(literal.value)
        found |= Q(metadata__contains={key: number})
    return Term(f"metadata.{key} = {literal.value}", found)


def _reason(value: str, known: Known) -> Term:
    return Term(f"reason contains {value}", Q(reason__icontains=value))


_SPAN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_SPAN = timedelta(days=3660)


def _span(text: str) -> timedelta | None:
    """A time such as 90s, 1h30m, 7d; None if it is none."""
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    found = timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    if found > _LONGEST_SPAN:
        raise NotUnderstood(f"{text} is longer than ten years.")
    return found


#: Beyond these, times overflow in one place or another.
_YEARS = (1900, 9000)


def _moment(text: str) -> datetime | None:
    """A day or a time, of UTC unless it says otherwise; None if it is none."""
    try:
        found = parse_datetime(text if "T" in text or " " in text else f"{text}T00:00")
    except ValueError:
        return None
    if found is None or not _YEARS[0] <= found.year <= _YEARS[1]:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def time_of(value: str) -> datetime:
    """The time of a field of the form."""
    found = _moment(value)
    if found is None:
        raise NotUnderstood(f"“{value}” is not a time such as 2026-11-29T14:00.")
    return found


def _created(value: str, known: Known) -> Term:
    """Later or earlier than a time, or than the time that was so long ago."""
    sign, rest = value[:1], value[1:].strip()
    span, moment = _span(rest), _moment(rest)
    if sign not in ("<", ">") or not (span or moment):
        raise NotUnderstood(
            f"“created:{value}” needs > or < and a time: created:>2h is in the last two hours, created:<2h before "
            "that, created:<2026-11-01 or created:>2026-11-01T14:00 before or since then (UTC)."
        )
    if moment is None:
        moment = timezone.now() - (span or timedelta())
        words = f"in the last {rest}" if sign == ">" else f"more than {rest} ago"
    else:
        words = f"{'since' if sign == '>' else 'before'} {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    found = Q(created_at__gte=moment) if sign == ">" else Q(created_at__lt=moment)
    return Term(f"created {words}", found, is_time=True)


def _lasted(kind: str, known_from: Q, start: Any, *ends: str) -> Callable[[str, Known], Term]:
    """A term about a time between two moments of a run; until now if it has not ended."""

    def meaning(value: str, known: Known) -> Term:
        sign, span = value[:1], _span(value[1:].strip())
        if sign not in ("<", ">") or span is None:
            raise NotUnderstood(f"“{kind}:{value}” needs > or < and a time such as 500ms, 30s, 5m, 1h30m, 7d.")
        # now - span and not end - start: no arithmetic on intervals that the database would have to guess about
        end = Coalesce(*(F(name) for name in ends), Value(timezone.now()))
        compared: Any = GreaterThan(end, start + span) if sign == ">" else LessThan(end, start + span)
        words = f"{kind} {'longer' if sign == '>' else 'shorter'} than {value[1:].strip()}"
        return Term(words, known_from & Q(compared))

    return meaning


def _looked_up(table: str) -> Callable[[str, Known], Term]:
    return lambda value, known: _existing(table, value, known)


KINDS: dict[str, Callable[[str, Known], Term]] = {
    **{table: _looked_up(table) for table in (*IDS, *NAMED)},
    "status": status,
    "strategy": strategy,
    "model": lambda value, known: Term(f"model = {value}", Q(model_name=value)),
    "by": lambda value, known: Term(f"cancelled by = {value}", Q(cancelled_by=value)),
    "reason": _reason,
    "created": _created,
    "ran": _lasted("ran", Q(started_at__isnull=False), F("started_at"), "finished_at"),
    "waited": _lasted("waited", Q(), F("created_at"), "started_at", "finished_at"),
}
