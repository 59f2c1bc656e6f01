"""What readers need to know of runs: read for many at once, without keeping a database connection."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import close_old_connections
from django.db.models import Q

from runs.models import Run
from runs.states import TERMINAL


@dataclass(frozen=True)
class RunRow:
    """The run as its row shows it."""

    run_id: UUID
    status: str
    attempt: int
    leased: bool
    error: Any
    finished_at: datetime | None
    last_frame: int | None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_settled(self) -> bool:
        return self.is_terminal and not self.leased


def begun_after(thread_id: UUID, run_id: UUID | None) -> UUID | None:
    """Return the run of the thread that began next after this one; None for `run_id`: the one that executes."""
    try:
        runs = Run.objects.filter(thread_id=thread_id, started_at__isnull=False)
        if run_id is None:
            runs = runs.exclude(status__in=sorted(TERMINAL))
        elif (last := runs.filter(pk=run_id).first()) is not None:
            later = Q(started_at__gt=last.started_at) | Q(started_at=last.started_at, sequence__gt=last.sequence)
            runs = runs.filter(later)
        return runs.order_by("started_at", "sequence").values_list("pk", flat=True).first()
    finally:
        close_old_connections()


def read(run_ids: Collection[UUID]) -> dict[UUID, RunRow]:
    """Return the rows of these runs; one that is missing has gone."""
    try:
        columns = ("pk", "status", "attempt", "leased", "error", "finished_at", "last_frame")
        return {row[0]: RunRow(*row) for row in Run.objects.filter(pk__in=run_ids).values_list(*columns)}
    finally:
        close_old_connections()
