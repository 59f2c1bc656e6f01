"""What an assistant reports on the way: stored on the run, never overwritten by absence."""

from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from runs.locks import bound_transaction, lock_attempt
from runs.services.transition import update_run
from runs.transactions import atomic


@dataclass(kw_only=True)
class Report:
    """What is known so far; None: nothing was reported."""

    model_name: str | None = None
    usage: dict[str, Any] | None = None
    message_count: int | None = None
    first_message: str | None = None
    last_message: str | None = None

    def columns(self) -> dict[str, Any]:
        """The columns that were reported."""
        reported = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in reported.items() if value is not None}


@atomic()
def report_progress(*, run_id: UUID, attempt: int, report: Report) -> None:
    """Store what an executing attempt reports. Raises Fenced if the attempt no longer owns the run."""
    bound_transaction()
    run = lock_attempt(run_id, attempt)
    if columns := report.columns():
        update_run(run, **columns)
