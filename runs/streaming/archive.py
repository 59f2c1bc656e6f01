"""What PostgreSQL keeps of a run's stream when the live one has expired: how it began, its state, how it ended."""

import json
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import close_old_connections
from django.utils import timezone

from runs.models import Checkpoint, Run
from runs.states import FAILED
from runs.streaming.frames import END, Cursor, Frame, From, Gap, Place, before
from runs.streaming.rows import RunRow


def seconds_since_end(row: RunRow) -> float:
    """How long ago the run ended, by this machine's clock; 0 if it has not."""
    return 0.0 if row.finished_at is None else (timezone.now() - row.finished_at).total_seconds()


def stream_error(run: Any) -> dict[str, Any] | None:
    """A failed run's error as streams show it: {"error": class name, "message"}."""
    if run.status not in FAILED or not run.error:
        return None
    return {"error": run.error.get("type"), "message": run.error.get("message")}


def after(run_id: UUID, cursor: Cursor) -> list[Frame | Gap]:
    """Return what can be had from the rows of a finished run after this cursor, up to the end; or one gap.

    A reader who has seen the last frame misses nothing but the end. Of a run that has gone there is an end saying so.
    """
    try:
        run = Run.objects.filter(pk=run_id).first()
        return [_gone(run_id)] if run is None else _after(_frames(run), cursor, run.last_frame)
    finally:
        close_old_connections()


def _after(frames: list[Frame], cursor: Cursor, last_frame: int | None) -> list[Frame | Gap]:
    end = frames[-1]
    if cursor is From.START:
        return [*frames]
    complete = None if last_frame is None else Place(end.place.attempt, last_frame)
    if cursor in (From.TAIL, end.place, before(end), complete):
        return [end]
    state = frames[-2] if len(frames) > 1 and frames[-2].event == "values" else None
    if state is not None and cursor == before(state):
        return [state, end]
    assert isinstance(cursor, Place)  # noqa: S101 - for the type checker
    return [Gap(cursor, frames[0].place, end.place, before(state or end))]


def _frames(run: Run) -> list[Frame]:
    begun = [_frame(run.attempt, 0, "metadata", {"run_id": str(run.pk), "attempt": run.attempt})] if run.attempt else []
    return [*begun, *_state(run), _end(run.attempt, stream_error(run))]


def _state(run: Run) -> list[Frame]:
    """The state the run left, if its stream was to show states."""
    if "values" not in (run.kwargs.get("stream_mode") or ["values"]):
        return []
    kept = Checkpoint.objects.forkable().filter(run=run).order_by("-step").first()
    return [_frame(run.attempt, END - 1, "values", kept.values)] if kept else []


def _gone(run_id: UUID) -> Frame:
    return _end(0, {"error": "RunNotFound", "message": f"Run with ID {run_id} not found"})


def _end(attempt: int, error: Any) -> Frame:
    return _frame(attempt, END, "end", {"error": error, "last": None})


def _frame(attempt: int, number: int, event: str, data: Any) -> Frame:
    return Frame(Place(attempt, number), event, json.dumps(data, cls=DjangoJSONEncoder))
