"""After a commit: the end marker of a run's stream, and the wake that serves streams, waits and joins. Both hints:
whoever meets a terminal row without an end writes it, and rows are looked at anyway."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from runs.after_commit import after_commit
from runs.models import Run
from runs.streaming import log
from runs.streaming.connection import Breaker

_breaker = Breaker()


def wake_on_commit(run: Run) -> None:
    """Have everybody who watches the run or its thread look again."""
    wake = partial(log.wake, run.pk, run.thread_id, str(run.status))
    after_commit(partial(_breaker.call, f"wake of run {run.pk}", wake))


def end_on_commit(
    run_id: UUID,
    attempt: int,
    *,
    error: Any = None,
    last: int | None = None,
    result: Callable[[], str | None] | None = None,
) -> None:
    """Mark the end of the run's stream; nothing that its executor still writes is shown.

    `result`: asked then for what the run answers, for those who wait for it; None: they ask themselves.
    """

    def mark() -> None:
        log.append_end(run_id, attempt, error=error, last=last, result=None if result is None else result())

    after_commit(partial(_breaker.call, f"end of run {run_id}", mark))
