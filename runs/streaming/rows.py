"""What readers need to know of runs: read for many at once, without keeping a database connection."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import close_old_connections

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

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_settled(self) -> bool:
        return self.is_terminal and not self.leased


def read(run_ids: Collection[UUID]) -> dict[UUID, RunRow]:
    """Return the rows of these runs; one that is missing has gone."""
    try:
        found = Run.objects.filter(pk__in=run_ids).values_list(
            "pk", "status", "attempt", "leased", "error", "finished_at"
        )
        return {row[0]: RunRow(*row) for row in found}
    finally:
        close_old_connections()
