"""The rows of watched runs, as they are read for many at once."""

from uuid import uuid4

import pytest

from runs.models import Run
from runs.states import RunStatus
from runs.streaming import rows
from runs.streaming.watch import Watch
from tests.support.factories import finish, stored
from tests.support.handwritten import end, pending_run, running_run

pytestmark = pytest.mark.usefixtures("db")


def shown(run: Run) -> tuple[object, ...]:
    """The run as its row has it."""
    row = stored(run)
    return (row.pk, row.status, row.attempt, row.leased, row.error, row.finished_at, row.last_frame)


def test_each_row_says_what_the_model_says_and_what_is_missing_has_gone() -> None:
    runs = [pending_run(), running_run(), end(running_run(), 7), finish(running_run(), RunStatus.ERROR)]
    found = rows.read([*(run.pk for run in runs), uuid4()])
    assert found == {run.pk: shown(run) for run in runs}
    assert found[runs[3].pk].error["type"] == "ValueError"


def test_a_row_that_has_not_changed_is_kept_and_wakes_nobody() -> None:
    run = pending_run()
    watch = Watch.of_run(run.pk)
    watch.show(first := rows.read([run.pk])[run.pk])
    watch._woken._has_rung = False
    watch.show(rows.read([run.pk])[run.pk])
    assert watch.row is first
    assert not watch._woken._has_rung
