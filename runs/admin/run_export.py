"""The runs that match a filter as a file: CSV for a spreadsheet, JSON lines for a program. Never their input or output.

Bounded, and read in portions while it is sent: no process holds more than BATCH of them, nor a connection in between.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import BadRequest
from django.db import connection
from django.db.models.fields.json import KeyTextTransform
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_safe

from runs.admin.json_text import masked
from runs.admin.run_filters import RunFilter
from runs.admin.run_scan import older_than
from runs.models import Run

#: The newest of those that match; what is older is asked for by time.
MOST_EXPORTED = 100_000
BATCH = 1_000


@require_safe
def export(request: HttpRequest, form: str) -> StreamingHttpResponse:
    """As the address' filter says, newest first."""
    if form not in FORMS:
        raise Http404
    content_type, encode = FORMS[form]
    wanted = RunFilter.parse(request.GET)
    if wanted.mistakes:
        raise BadRequest(" ".join(wanted.mistakes))
    return StreamingHttpResponse(
        _portions(wanted, encode),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="runs.{form}"', "Cache-Control": "no-store"},
    )


async def _portions(wanted: RunFilter, encode: "Encode") -> AsyncIterator[bytes]:
    last: Run | None = None
    sent = 0
    while sent < MOST_EXPORTED:
        runs = await sync_to_async(_read, thread_sensitive=False)(wanted, last, min(BATCH, MOST_EXPORTED - sent))
        yield encode([_record(run) for run in runs], sent == 0)
        sent += len(runs)
        if len(runs) < BATCH:
            return
        last = runs[-1]


def _read(wanted: RunFilter, last: Run | None, count: int) -> list[Run]:
    """The next runs; afterwards the connection is given back."""
    try:
        place = older_than(last.created_at, last.sequence) if last is not None else None
        runs: Any = wanted.next_runs(count, place=place).select_related("owner", "worker").only(*_READ)
        runs = runs.annotate(
            error_type=KeyTextTransform("type", "error"), error_message=KeyTextTransform("message", "error")
        )
        return list(runs[:count])
    finally:
        if not connection.in_atomic_block:
            connection.close()


# fmt: off
_PLAIN = (
    "id", "status", "assistant", "multitask_strategy", "thread_id", "attempt", "max_attempts", "crashes",
    "created_at", "started_at", "finished_at", "leased", "reason", "cancelled_by", "cancelled_at", "cancel_action",
    "rolled_back_at", "displaced_by_id", "retry_of_id", "deleted_at", "model_name", "request_id",
)
# fmt: on
_READ = (*_PLAIN, "sequence", "owner__username", "worker__host", "usage")


def _record(run: Any) -> dict[str, Any]:
    """A line of the file: times and ids as text, spans in seconds."""
    columns = {name: getattr(run, name) for name in _PLAIN}
    columns |= {
        "owner": run.owner.username,
        "worker": run.worker.host if run.worker else None,
        "waited_seconds": _seconds(run.created_at, run.started_at or run.finished_at),
        "ran_seconds": _seconds(run.started_at, run.finished_at),
        "total_tokens": run.usage.get("total_tokens"),
        "error_type": run.error_type,
        "error_message": masked(run.error_message),
    }
    return {name: _plain(value) for name, value in columns.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)


def _as_lines(records: Sequence[dict[str, Any]], is_first: bool) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _as_csv(records: Sequence[dict[str, Any]], is_first: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    if is_first:
        writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in record.values()] for record in records)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


Encode = Callable[[Sequence[dict[str, Any]], bool], bytes]
FORMS: dict[str, tuple[str, Encode]] = {
    "csv": ("text/csv; charset=utf-8", _as_csv),
    "jsonl": ("application/jsonl; charset=utf-8", _as_lines),
}
_FURTHER = ("owner", "worker", "waited_seconds", "ran_seconds", "total_tokens", "error_type", "error_message")
COLUMNS = (*_PLAIN, *_FURTHER)
