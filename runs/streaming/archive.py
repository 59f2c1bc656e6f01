"""What PostgreSQL keeps of a run's stream when the live one has expired: how it began, its state, how it ended."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import close_old_connections
from django.utils import timezone

from runs.models import Checkpoint, Run
from runs.states import FAILED
from runs.streaming.frames import END, Frame, Place
from runs.streaming.rows import RunRow

_LONG = timedelta(seconds=5)


def ended_long_ago(row: RunRow) -> bool:
    """Whether nothing can be on its way to the stream any more."""
    return row.finished_at is not None and timezone.now() - row.finished_at > _LONG


def stream_error(run: Any) -> dict[str, Any] | None:
    """A failed run's error as streams show it: {"error": class name, "message"}."""
    if run.status not in FAILED or not run.error:
        return None
    return {"error": run.error.get("type"), "message": run.error.get("message")}


def frames(run_id: UUID) -> list[Frame]:
    """Return the frames that can be had from the rows of a finished run; of one that has gone, only the end."""
    try:
        run = Run.objects.filter(pk=run_id).first()
        if run is None:
            error = {"error": "RunNotFound", "message": f"Run with ID {run_id} not found"}
            return [_end(0, error)]
        kept = Checkpoint.objects.forkable().filter(run=run).order_by("-step").first()
        begun = (
            [_frame(run.attempt, 0, "metadata", {"run_id": str(run_id), "attempt": run.attempt})] if run.attempt else []
        )
        values = [_frame(run.attempt, END - 1, "values", kept.values)] if kept else []
        return [*begun, *values, _end(run.attempt, stream_error(run))]
    finally:
        close_old_connections()


def _end(attempt: int, error: Any) -> Frame:
    return _frame(attempt, END, "end", {"error": error, "last": None})


def _frame(attempt: int, number: int, event: str, data: Any) -> Frame:
    return Frame(Place(attempt, number), event, json.dumps(data, cls=DjangoJSONEncoder))
