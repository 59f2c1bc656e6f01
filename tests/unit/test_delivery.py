"""What a pool child waits for before it claims a run."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from uuid import uuid4

import pytest

from runs.execution import delivery as module
from runs.execution.delivery import _wait_for_life, _wait_until_free
from runs.execution.slots import SlotTable


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait in vain for a moment only."""
    monkeypatch.setattr(module, "CLAIM_WAIT_SECONDS", 0.05)


def test_claims_are_made_under_a_confirmed_lease() -> None:
    """In the name of the worker's row."""
    table, worker_id = SlotTable(), uuid4()
    table.begin_life(worker_id)
    table.confirm_lease(time.monotonic() + 60)
    assert _wait_for_life(table.slots[0]) == worker_id


def test_nobody_claims_for_a_worker_that_is_not_registered(impatient: None) -> None:
    """Nor for one that was buried."""
    table = SlotTable()
    table.confirm_lease(time.monotonic() + 60)
    assert _wait_for_life(table.slots[0]) is None


def test_nobody_claims_while_the_lease_is_not_confirmed(impatient: None) -> None:
    """The worker may have been buried already."""
    table = SlotTable()
    table.begin_life(uuid4())
    assert _wait_for_life(table.slots[0]) is None


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens between two looks at the slot; nothing more: it has waited in vain for longer than it may."""
    to_come: list[Callable[[], object]] = []
    monkeypatch.setattr("runs.execution.delivery.time.sleep", lambda seconds: to_come.pop(0)())
    return to_come


def test_the_slot_of_a_dead_predecessor_is_written_over_when_its_exit_was_seen(
    looks: list[Callable[[], object]],
) -> None:
    slot = SlotTable().slots[0]
    left = ExitStack()
    left.enter_context(slot.occupied(41, uuid4()))
    looks += [slot.execution, slot.execution, left.close]
    _wait_until_free(slot, 42)
    assert (slot.execution(), looks) == (None, [])


def test_what_this_process_itself_has_left_in_its_slot_is_nobodys(looks: list[Callable[[], object]]) -> None:
    slot = SlotTable().slots[0]
    with slot.occupied(41, uuid4()):
        _wait_until_free(slot, 41)
    assert slot.execution() is None


def test_whose_exit_nobody_sees_is_not_waited_for_for_ever(impatient: None) -> None:
    slot = SlotTable().slots[0]
    with slot.occupied(41, uuid4()):
        _wait_until_free(slot, 42)
        found = slot.execution()
        assert found is not None
        assert found.pid == 41
