"""What a pool child waits for before it claims a run."""

import time
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


def test_the_slot_of_a_dead_predecessor_is_not_written_over(impatient: None) -> None:
    """Until the main process has seen its exit; what this process itself has left there is nobody's."""
    slot = SlotTable().slots[0]
    with slot.occupied(41, uuid4()):
        began = time.monotonic()
        _wait_until_free(slot, 42)
        waited = time.monotonic() - began
        _wait_until_free(slot, 41)
    assert waited >= module.CLAIM_WAIT_SECONDS
