"""Runs of the graph `slow`, whose steps wait for their gates."""

from typing import Any

from tests.contract.conftest import Gates
from tests.support.ledger import wait_until


def slow(gates: Gates, count: int = 2, tag: str = "A") -> dict[str, Any]:
    """Its input: as many steps, each of which waits for its gate."""
    return {"n": count, "tag": tag, "gates": str(gates.directory)}


def log(sdk: Any, thread_id: str) -> Any:
    """What the steps have left in the thread's state."""
    return sdk.threads.get_state(thread_id)["values"].get("log")


def in_the_second_step(sdk: Any, thread_id: str, gates: Gates, **options: Any) -> str:
    """A run whose first step is kept and whose second one waits; its id."""
    run_id: str = sdk.runs.create(thread_id, "slow", input=slow(gates), **options)["run_id"]
    gates.open(0)
    wait_until(lambda: log(sdk, thread_id) == ["A:0"], "the first step")
    return run_id
