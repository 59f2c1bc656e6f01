"""Point 5: what a second run of a graph does to those that are there, with both official Python clients."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph_sdk import errors

from tests.contract.answers import status
from tests.contract.conftest import Gates
from tests.contract.slow import in_the_second_step, slow

pytestmark = pytest.mark.timeout(180)

FAR_AWAY = 3600
SECOND: Any = {"n": 1, "tag": "B"}


def one_running(sdk: Any, thread_id: str, gates: Gates) -> list[str]:
    """In its second step."""
    return [in_the_second_step(sdk, thread_id, gates)]


def one_pending(sdk: Any, thread_id: str, gates: Gates) -> list[str]:
    """Not due for an hour."""
    return [sdk.runs.create(thread_id, "slow", input=slow(gates), after_seconds=FAR_AWAY)["run_id"]]


def three_queued(sdk: Any, thread_id: str, gates: Gates) -> list[str]:
    """One that runs, and two that wait for it."""
    first = in_the_second_step(sdk, thread_id, gates)
    waiting = [sdk.runs.create(thread_id, "slow", input={"tag": "Q"}, multitask_strategy="enqueue") for _ in range(2)]
    return [first, *(run["run_id"] for run in waiting)]


def statuses(sdk: Any, thread_id: str, ids: list[str]) -> list[str]:
    return [status(sdk, thread_id, run_id) for run_id in ids]


@pytest.mark.parametrize(
    ("olds", "log"),
    [
        (one_running, ["A:0", "A:1"]),
        (one_pending, None),
        (three_queued, ["A:0", "A:1", "Q:2", "Q:3"]),
    ],
)
def test_5_reject(sdk: Any, thread_id: str, gates: Gates, olds: Any, log: list[str] | None) -> None:
    """Also while nothing runs yet; and those that are there go on as if nobody had asked."""
    ids = olds(sdk, thread_id, gates)
    before = statuses(sdk, thread_id, ids)
    with pytest.raises(errors.ConflictError, match="already running a task"):
        sdk.runs.create(thread_id, "slow", input=SECOND, multitask_strategy="reject")
    assert statuses(sdk, thread_id, ids) == before
    assert len(sdk.runs.list(thread_id)) == len(ids)
    if log is not None:
        gates.open(*range(4))
        assert sdk.runs.join(thread_id, ids[-1])["log"] == log


@pytest.mark.parametrize(
    ("olds", "log"),
    [
        (one_running, ["A:0", "A:1", "B:2"]),
        (one_pending, ["B:0"]),
        (three_queued, ["A:0", "A:1", "Q:2", "Q:3", "B:4"]),
    ],
)
def test_5_enqueue(sdk: Any, thread_id: str, gates: Gates, olds: Any, log: list[str]) -> None:
    """After those that are there, but for one that is not due yet."""
    ids = olds(sdk, thread_id, gates)
    new = sdk.runs.create(thread_id, "slow", input=SECOND, multitask_strategy="enqueue")
    assert new["displaced"] == []
    gates.open(*range(5))
    assert sdk.runs.join(thread_id, new["run_id"])["log"] == log
    ended = ["pending"] if olds is one_pending else ["success"] * len(ids)
    assert statuses(sdk, thread_id, ids) == ended
    assert sdk.threads.get(thread_id)["status"] == ("busy" if olds is one_pending else "idle")


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
@pytest.mark.parametrize("olds", [one_running, one_pending, three_queued])
def test_5_displacing(sdk: Any, thread_id: str, gates: Gates, olds: Any, strategy: str) -> None:
    """All of them end; interrupt keeps the finished step of the one that ran, rollback does not."""
    ids = olds(sdk, thread_id, gates)
    new = sdk.runs.create(thread_id, "slow", input=SECOND, multitask_strategy=strategy)
    assert new["displaced"] == ids
    assert statuses(sdk, thread_id, ids) == ["interrupted"] * len(ids)
    gates.open(1)
    kept = strategy == "interrupt" and olds is not one_pending
    values = sdk.runs.join(thread_id, new["run_id"])
    assert values["log"] == (["A:0", "B:1"] if kept else ["B:0"])
    assert ("gates" in values) == kept
    thread = sdk.threads.get(thread_id)
    assert (thread["status"], thread["values"], thread["error"]) == ("idle", values, None)


def test_5_of_twelve_at_once_one_is_admitted(sdk: Any, thread_id: str, gates: Gates) -> None:
    def create(tag: str) -> str | None:
        try:
            return str(
                sdk.runs.create(thread_id, "slow", input=slow(gates, 1, tag), multitask_strategy="reject")["run_id"]
            )
        except errors.ConflictError:
            return None

    with ThreadPoolExecutor(12) as pool:
        admitted = [run_id for run_id in pool.map(create, "abcdefghijkl") if run_id]
    assert [run["run_id"] for run in sdk.runs.list(thread_id)] == admitted
    assert len(admitted) == 1
    gates.open(0)
    assert len(sdk.runs.join(thread_id, admitted[0])["log"]) == 1
