"""The memory that a worker's main process shares with its pool children."""

import os
from uuid import uuid4

import pytest

from runs.execution.slots import Order, SlotTable

FAR = 1e9


def test_a_slot_says_what_its_child_is_at() -> None:
    """Nothing, about to claim, executing, told to end, nothing."""
    slot, run_id = SlotTable().slots[3], uuid4()
    assert slot.execution() is None
    with slot.occupied(42, run_id):
        claiming = slot.execution()
        assert claiming is not None
        assert (claiming.index, claiming.pid, claiming.run_id, claiming.attempt) == (3, 42, run_id, 0)
        slot.begin(42, run_id, 7, FAR)
        executing = slot.execution()
        assert executing is not None
        assert (executing.attempt, executing.deadline, executing.terminated) == (7, FAR, False)
        slot.note_termination()
        terminated = slot.execution()
        assert terminated is not None
        assert (terminated.attempt, terminated.terminated) == (7, True)
    assert slot.execution() is None


def occupy_and_raise(table: SlotTable, error: type[BaseException]) -> None:
    """An attempt whose own code fails."""
    with table.slots[0].occupied(42, uuid4()):
        raise error


def test_an_error_leaves_the_slot_free() -> None:
    """The process goes on to another run."""
    table = SlotTable()
    with pytest.raises(KeyError):
        occupy_and_raise(table, KeyError)
    assert list(table.executions()) == []


def test_an_exit_does_not() -> None:
    """The process ends, and the main process must see what it was at."""
    table = SlotTable()
    with pytest.raises(SystemExit):
        occupy_and_raise(table, SystemExit)
    assert [execution.pid for execution in table.executions()] == [42]


def test_only_the_exit_of_its_own_child_frees_a_slot() -> None:
    """Not that of the one which was there before."""
    slot = SlotTable().slots[0]
    with slot.occupied(42, uuid4()):
        slot.vacate_for(41)
        assert slot.execution() is not None
        slot.vacate_for(42)
        assert slot.execution() is None


def test_an_order_is_for_one_attempt() -> None:
    """Of one run."""
    slot, run_id = SlotTable().slots[0], uuid4()
    slot.order(run_id, 2, Order.CANCELLED)
    assert slot.order_for(run_id, 2) == Order.CANCELLED
    assert slot.order_for(run_id, 1) is None
    assert slot.order_for(uuid4(), 2) is None


def test_the_first_order_stays_until_another_attempt_has_one() -> None:
    """Why an attempt is stopped does not change; the next one has its own reason."""
    slot, run_id = SlotTable().slots[0], uuid4()
    slot.order(run_id, 1, Order.TIMED_OUT)
    slot.order(run_id, 1, Order.CANCELLED)
    assert slot.order_for(run_id, 1) == Order.TIMED_OUT
    slot.order(run_id, 2, Order.SHUTDOWN)
    assert (slot.order_for(run_id, 1), slot.order_for(run_id, 2)) == (None, Order.SHUTDOWN)


def test_find_sees_every_child_that_is_at_a_run() -> None:
    """A duplicate of its message may be consumed beside it."""
    table, run_id = SlotTable(), uuid4()
    with table.slots[0].occupied(1, run_id), table.slots[5].occupied(2, run_id), table.slots[6].occupied(3, uuid4()):
        assert [execution.index for execution in table.find(run_id)] == [0, 5]


def test_a_workers_life() -> None:
    """Claims are made in the name of the current one."""
    table, worker_id = SlotTable(), uuid4()
    assert (table.worker_id, table.lease_confirmed, table.shutting_down) == (None, False, False)
    table.begin_life(worker_id)
    table.confirm_lease(FAR)
    table.mark_shutting_down()
    assert (table.worker_id, table.lease_confirmed, table.shutting_down) == (worker_id, True, True)
    table.end_life()
    assert table.worker_id is None


def test_it_is_shared_with_a_forked_child() -> None:
    """What one writes the other reads."""
    slot, run_id = SlotTable().slots[0], uuid4()
    slot.order(run_id, 1, Order.FENCED)
    child = os.fork()
    if child == 0:
        slot.begin(os.getpid(), run_id, int(slot.order_for(run_id, 1) == Order.FENCED), FAR)
        os._exit(0)
    os.waitpid(child, 0)
    execution = slot.execution()
    assert execution is not None
    assert (execution.pid, execution.attempt) == (child, 1)
