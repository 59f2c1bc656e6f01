"""Whether what is looked for exists: all values of a filter in one statement, whatever their number."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import Cast

from runs.admin.base import as_uuid
from runs.admin.run_terms import failed_with
from runs.models import Run, Thread, Worker

#: The latest lives of the workers on a host.
_MOST_LIVES = 100


def look_up(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """The keys of the rows that these (table, value) name, as text; without those that name nothing."""
    asked = list(dict.fromkeys(wanted))
    parts = list(_parts(asked))
    if not parts:
        return {}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for number, key in parts[0].union(*parts[1:], all=True) if parts[1:] else parts[0]:
        found[asked[number]].append(key)
    return dict(found)


def _parts(asked: list[tuple[str, str]]) -> Iterator["QuerySet[Any, Any]"]:
    for number, (table, value) in enumerate(asked):
        rows = _TABLES[table](value)
        if rows is not None:
            yield rows.values_list(Value(number), Cast("pk", TextField()))


def _with_id(model: Any) -> Callable[[str], "QuerySet[Any] | None"]:
    def rows(value: str) -> "QuerySet[Any] | None":
        pk = as_uuid(value)
        return None if pk is None else model._default_manager.filter(pk=pk)

    return rows


_TABLES: dict[str, Callable[[str], "QuerySet[Any] | None"]] = {
    "run": _with_id(Run),
    "thread": _with_id(Thread),
    "worker": _with_id(Worker),
    "host": lambda value: Worker.objects.filter(host=value).order_by("-started_at")[:_MOST_LIVES],
    "assistant": lambda value: Run.objects.filter(assistant=value)[:1],
    "owner": lambda value: get_user_model()._default_manager.filter(username=value),
    "error": lambda value: Run.objects.filter(failed_with(value))[:1],
}
