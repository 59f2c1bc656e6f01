"""Whose fault it was that a process has ended, by what the main process knows of it."""

from uuid import UUID

import pytest

from runs.execution.exits import Exit, departures
from runs.execution.slots import Execution, Order
from runs.states import Departure

CRASH, NEIGHBOUR, SUSPECT = Departure.CRASH, Departure.NEIGHBOUR, Departure.SUSPECT
SHUTDOWN, TERMINATED = Departure.SHUTDOWN, Departure.TERMINATED


def attempt(number: int, *, leftovers: bool = False, claimed: bool = True) -> Execution:
    """One that process 7 executes."""
    return Execution(number, 7, UUID(int=number), int(claimed), float("inf"), leftovers=leftovers)


ONE, TWO, THREE = attempt(1), attempt(2), attempt(3)


@pytest.mark.parametrize(
    ("exits", "killed_for", "expected"),
    [
        ([Exit(ONE, None)], None, [CRASH]),
        ([Exit(ONE, None), Exit(TWO, None)], None, [SUSPECT, SUSPECT]),
        ([Exit(ONE, None), Exit(attempt(2, claimed=False), None)], None, [CRASH, NEIGHBOUR]),
        ([Exit(ONE, Order.CANCELLED), Exit(TWO, None), Exit(THREE, None)], ONE, [CRASH, NEIGHBOUR, NEIGHBOUR]),
        ([Exit(attempt(1, leftovers=True), None), Exit(TWO, None)], None, [CRASH, NEIGHBOUR]),
        ([Exit(ONE, Order.SHUTDOWN), Exit(TWO, Order.SHUTDOWN)], ONE, [TERMINATED, TERMINATED]),
    ],
    ids=["alone", "crash", "beside a claim", "kill", "leftovers", "terminated"],
)
def test_departures(exits: list[Exit], killed_for: Execution | None, expected: list[Departure]) -> None:
    """Only a crash of one that was alone counts."""
    found = departures(exits, killed_for=killed_for, shutting_down=False)
    assert found == [(exit.execution, departure) for exit, departure in zip(exits, expected, strict=True)]


def test_shutdown_is_nobodys_fault() -> None:
    """Whatever was killed meanwhile."""
    found = departures([Exit(ONE, Order.CANCELLED), Exit(TWO, None)], killed_for=ONE, shutting_down=True)
    assert found == [(ONE, SHUTDOWN), (TWO, SHUTDOWN)]
