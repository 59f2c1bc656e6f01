"""How many runs a filter matches, at any size of the table: no more than EXAMINE_AT_MOST rows of a kind are looked at.

So a count may be a lower bound, and says so: "312+" of a filter that no index answers are 312 among the newest 10,000.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet, Value

from runs.admin.base import COUNT_AT_MOST
from runs.admin.run_filters import RunFilter
from runs.admin.run_scan import pinned
from runs.admin.run_terms import ACTIVE, STATUSES, STOPPING
from runs.models import Run
from runs.states import IN_FLIGHT, TERMINAL, RunStatus

EXAMINE_AT_MOST = 10_000
#: The bound for a database that is slow or busy.
COUNT_MILLISECONDS = 1500


def count_statuses(wanted: RunFilter) -> dict[str, str]:
    """How many runs of each status the rest of the filter matches, as text; "" and left out: it is not known."""
    if wanted.mistakes:
        return dict.fromkeys(STATUSES, "0")
    parts = dict(_parts(wanted))
    found = _ask(_EXAMINING, parts.values())
    return {} if found is None else dict(_as_texts(dict(zip(parts, found, strict=True))))


#: Examined rows, and those of each status among them that match.
_COLUMNS = ", ".join(f"COUNT(*) FILTER (WHERE matches AND status = '{status}')" for status in RunStatus)
_EXAMINING = f"(SELECT ARRAY[COUNT(*), {_COLUMNS}] FROM ({{sql}}) AS c{{number}})"  # noqa: S608 - our own names
_COUNTING = "(SELECT COUNT(*) FROM ({sql}) AS c{number})"
_LEAD = "lead"


def _parts(wanted: RunFilter) -> Iterator[tuple[str, QuerySet[Run, Any]]]:
    """What is looked at: the runs of each status; but if an index leads to what the filter asks for, then its newest
    tell about those that have ended, of which there may be many."""
    matches, pin = wanted.condition_of_tabs, wanted.pin_of_tabs
    separate = IN_FLIGHT if pin else RunStatus
    for status in sorted(separate):
        yield status, _examined(Run.objects.filter(wanted.times, status=status).newest_first(), matches)
    yield STOPPING, _examined(Run.objects.filter(STATUSES[STOPPING]).order_by(), matches)
    if pin:
        yield _LEAD, _examined(pinned(pin).filter(wanted.times), matches)


def _examined(rows: QuerySet[Run], matches: Q) -> QuerySet[Run, Any]:
    expression = ExpressionWrapper(matches, output_field=BooleanField()) if matches else Value(True)
    return rows.annotate(matches=expression).values("status", "matches")[:EXAMINE_AT_MOST]


def _as_texts(found: dict[str, Sequence[int]]) -> Iterator[tuple[str, str]]:
    """Each part as what its tab shows."""
    place = {status: number for number, status in enumerate(RunStatus, start=1)}
    counts: dict[str, tuple[int, bool]] = {}
    for status in RunStatus:
        part = found.get(status) or found[_LEAD]
        counts[status] = part[place[status]], part[0] >= EXAMINE_AT_MOST
    stopping = found[STOPPING]
    counts[STOPPING] = sum(stopping[place[status]] for status in TERMINAL), stopping[0] >= EXAMINE_AT_MOST
    counts[ACTIVE] = sum(counts[status][0] for status in IN_FLIGHT), any(counts[status][1] for status in IN_FLIGHT)
    for name, (count, is_more) in counts.items():
        yield name, "" if is_more and not count else f"{count:,}{'+' if is_more else ''}"


def count_each(several: Iterable[QuerySet[Run]]) -> Sequence[int] | None:
    """Count each of these, up to COUNT_AT_MOST, in one statement; None if it took longer than it may."""
    found: Sequence[int] | None = _ask(_COUNTING, [rows.order_by().values("pk")[:COUNT_AT_MOST] for rows in several])
    return found


def _ask(counting: str, several: Iterable[QuerySet[Any, Any]]) -> Any:
    """One row with what is counted in each of these; None if it took longer than it may."""
    compiled = [rows.query.sql_with_params() for rows in several]
    columns = (counting.format(sql=sql, number=number) for number, (sql, _) in enumerate(compiled))
    statement = f"SELECT {', '.join(columns)}"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                _BOUNDED.format(COUNT_MILLISECONDS, statement), [v for _, values in compiled for v in values]
            )
            cursor.nextset()
            found = cursor.fetchone()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _CANCELLED:
            raise
        return None
    return found


#: One round trip; the time counts for each statement, and so only for the one in the middle.
_BOUNDED = "SET LOCAL statement_timeout = {}; {}; SET LOCAL statement_timeout TO DEFAULT"
_CANCELLED = "57014"  # query_canceled: here only by the timeout


def as_text(count: int) -> str:
    """A count that has stopped at its bound says so."""
    return f"{count:,}+" if count >= COUNT_AT_MOST else f"{count:,}"
