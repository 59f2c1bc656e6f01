"""What the measured runs do: nothing, or nothing until they are interrupted."""

import time
from typing import Any

from runs.assistants import RunContext, assistant

#: Longer than any measurement.
FOR_EVER = 3600.0


@assistant
def no_work(run: RunContext, input: Any) -> dict[str, int]:
    """Answer at once."""
    return {"answer": 42}


@assistant
def waiting(run: RunContext, input: Any) -> None:
    """Sleep until interrupted."""
    time.sleep(FOR_EVER)


def registrations() -> str:
    """All of this module, as RUNYARD_ASSISTANTS."""
    return ",".join(f"{name}={__name__}:{name}" for name in ("no_work", "waiting"))
