"""The fence of a graph's writes is taken away: the tests of it can lose."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest

from runs.models import Run
from runs.services.invariants import find_violations
from tests.races import windows
from tests.races.test_graph_fence import WRITES, Write, cancelled, of_the_root


@contextmanager
def no_fence() -> Iterator[None]:
    """Whoever has the run's id may write."""
    unfenced = mock.patch("runs.services.graph_writes.lock_attempt", lambda pk, _: Run.objects.get(pk=pk))
    with unfenced:
        yield


@pytest.mark.parametrize("write", WRITES)
def test_without_the_fence_everything_of_a_run_that_was_rolled_back_is_stored(write: Write) -> None:
    run, stored = cancelled(), list[str]()
    with no_fence():
        write(run, lambda: stored.append("LangGraph's"))
    assert stored == ["LangGraph's"]


def test_without_the_fence_a_late_step_undoes_a_rollback() -> None:
    with no_fence():
        thread, run, outcome = windows.write_while_rolling_back(lambda run: of_the_root(run, lambda: None))
    assert outcome is None
    assert run.rolled_back_at is not None
    assert thread.head_id != run.base_id
    assert thread.head is not None
    assert thread.head.values == {"page": "late"}
    assert "has a head of a run that was rolled back" in {violation.what for violation in find_violations()}
