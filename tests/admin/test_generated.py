"""The rows that bench/populate.py makes are rows that the services could have made."""

import pytest
from django.db import connection

from bench.populate import counts, populate
from runs.models import Run, Thread
from runs.services.invariants import find_violations
from runs.states import RunStatus


@pytest.mark.parametrize("events", [12_000, 40_000])
def test_generated_rows_break_no_invariant(events: int) -> None:
    populate(runs=4_000, events=events)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as the database does by itself a little later

    found = dict(counts())
    assert found["runs_run"] == 4_000
    assert 0.9 * events < found["runs_runevent"] < 1.1 * events
    assert set(Run.objects.values_list("status", flat=True)) == set(RunStatus)
    assert Run.objects.filter(status=RunStatus.INTERRUPTED, leased=True).exists()
    assert set(Thread.objects.values_list("status", flat=True)) == {"idle", "busy", "error"}
    assert list(find_violations()) == []


def test_a_database_that_has_runs_is_left_alone() -> None:
    populate(runs=100, events=300)
    with pytest.raises(SystemExit, match="already"):
        populate(runs=100, events=300)
    assert Run.objects.count() == 100
