"""What a run left behind, and how far it is: for those who wait for it."""

import json
import re
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from runs.errors import RunNotFound
from runs.models import Checkpoint, Compared, Run
from runs.prepared import steady
from runs.services.transition import present_error
from runs.statements import M, Row, Select, execute
from runs.states import FAILED, RunStatus
from runs.streaming.wakes import MOST_CARRIED

_OUTCOME = Select(Run, "WHERE id = %s", only=("thread_id", "status", "leased", "error", "reason", "attempt", "base_id"))
#: Of those that were kept: a rolled-back run has none, and a later attempt may have started over.
_LAST_STEP = Select(
    Checkpoint,
    "WHERE run_id = %s "
    "AND attempt >= (SELECT kept_from_attempt FROM runs_run WHERE id = %s AND rolled_back_at IS NULL) "
    "ORDER BY step DESC LIMIT 1",
    only=("values", "interrupts"),
)

#: 1e+16 is kept as an integer, and -0.0 as 0.0.
_OTHERWISE_KEPT = re.compile(r"\de\+\d|-0\.0")


def is_settled(run_id: UUID) -> bool:
    """Return whether the run is terminal and nothing executes it any more, or has gone altogether."""
    (rows,) = execute(_OUTCOME(run_id))
    run = _first(_OUTCOME, rows)
    return run is None or run.is_settled


def find_result(run_id: UUID) -> dict[str, Any] | None:
    """Return what the run answers if it is terminal: the state it ended with, or {"__error__"} if it failed.

    For somebody who has been let in before: a run that was hidden meanwhile still answers. Raises RunNotFound.
    """
    _, runs, steps = execute(steady(), _OUTCOME(run_id), _LAST_STEP(run_id, run_id))
    run = _first(_OUTCOME, runs)
    if run is None:
        raise RunNotFound
    if not run.is_terminal:
        return None
    if run.status in FAILED:
        return {"__error__": present_error(run.error or {"type": run.status, "message": run.reason})}
    return _values(run, _first(_LAST_STEP, steps))


def carried(last_step: Checkpoint) -> str | None:
    """What `find_result` returns of a run that has succeeded with this step, as JSON text of one line.

    None, and everybody has to ask: it is large, or has a number that comes out of PostgreSQL as another of its kind.
    """
    text = json.dumps(_shown(last_step))
    return None if len(text) > MOST_CARRIED or _OTHERWISE_KEPT.search(text) else text


def final_values(run: Run) -> dict[str, Any]:
    """Its last step that was kept, else what it found: its own state, which a later run does not change."""
    (steps,) = execute(_LAST_STEP(run.pk, run.pk))
    return _values(run, _first(_LAST_STEP, steps))


def _first(select: Select[M], rows: Sequence[Row]) -> M | None:
    return next(iter(select.load(rows)), None)


def _values(run: Run, last_step: Checkpoint | None) -> dict[str, Any]:
    found = last_step or (run.base if run.attempt else run.thread.head)
    return {} if found is None else _shown(found)


def _shown(found: Checkpoint) -> dict[str, Any]:
    pending = [{"response_schema": None, **item} for items in found.interrupts.values() for item in items]
    return {**found.values, "__interrupt__": pending} if pending else dict(found.values)


def exist(
    *, owner: Any, thread_id: UUID | None, run_ids: Collection[UUID] | None, statuses: Collection[RunStatus]
) -> bool:
    """Return whether the caller has any such run."""
    found = Run.objects.visible_to(owner)
    if run_ids is None:
        found = found.filter(status__in=list(statuses))
    else:
        found = found.filter(Compared(thread=thread_id), pk__in=list(run_ids))
    return found.exists()
