"""The lifecycle as the design describes it, against the table of transitions alone."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from runs.states import TRANSITIONS, RunStatus
from tests.properties.machine import Lifecycle
from tests.properties.profile import search
from tests.support.scale import rounds

TABLE = {(came_from, to) for came_from, targets in TRANSITIONS.items() for to in targets}


@pytest.mark.timeout(300)
def test_whatever_happens_follows_the_table_and_all_of_the_table_happens() -> None:
    visited: set[tuple[RunStatus | None, RunStatus]] = set()

    class Watched(Lifecycle):
        def teardown(self) -> None:
            visited.update(move for run in self.place for move in run.history)

    run_state_machine_as_test(Watched, settings=search(max(250, rounds(500)), steps=50))
    assert visited == TABLE
