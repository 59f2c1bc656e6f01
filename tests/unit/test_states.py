"""The table of transitions, said a second time: what changes here changes a promise."""

from itertools import product

import pytest

from runs.states import FAILED, IN_FLIGHT, TERMINAL, TRANSITIONS, RunStatus, is_legal

LEGAL = {
    (None, "pending"),
    ("pending", "running"),
    ("pending", "interrupted"),
    ("running", "pending"),
    ("running", "success"),
    ("running", "error"),
    ("running", "timeout"),
    ("running", "interrupted"),
    ("success", "success"),
    ("error", "error"),
    ("timeout", "timeout"),
    ("interrupted", "interrupted"),
}


@pytest.mark.parametrize(("came_from", "to"), list(product([None, *RunStatus], RunStatus)))
def test_a_transition_is_legal_if_and_only_if_the_table_has_it(came_from: RunStatus | None, to: RunStatus) -> None:
    assert is_legal(came_from, to) == ((came_from, to) in LEGAL)


def test_there_are_six_statuses_in_flight_or_terminal() -> None:
    assert set(RunStatus) == {"pending", "running", "success", "error", "timeout", "interrupted"}
    assert sorted(IN_FLIGHT) == ["pending", "running"]
    assert sorted(TERMINAL) == ["error", "interrupted", "success", "timeout"]
    assert sorted(FAILED) == ["error", "timeout"]


def test_every_status_is_reached_and_none_is_left_out() -> None:
    assert set(TRANSITIONS) == {None, *RunStatus}
    assert {to for targets in TRANSITIONS.values() for to in targets} == set(RunStatus)
