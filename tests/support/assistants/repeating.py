"""Those that show what was done twice."""

import time
from collections.abc import Iterator
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import present, wait_at_gate
from tests.support.ledger import beat, gate_is_open, note


@assistant
def payer(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """Do something outside, then take a durable step, three times; beat so long in between (input: seconds).

    Begins when the test opens the gate in the input, if there is one.
    """
    pause, gate = (input or {}).get("seconds", 0.0), (input or {}).get("gate")
    with present(run):
        if gate:
            wait_at_gate(run, gate)
        for number in range(3):
            note(run.id, run.attempt, f"paid {number}")
            run.emit({"paid": number})
            until = time.monotonic() + pause
            while time.monotonic() < until:
                beat(run.id, run.attempt)
            yield {f"paid {number}": run.attempt}


@assistant
def busybody(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """Emit and take steps all the time, until the test opens the gate named like the run."""
    with present(run):
        while not gate_is_open(run.id):
            for _ in range(5):
                run.emit({"at": time.time()})
                beat(run.id, run.attempt)
            yield {"attempt": run.attempt}
