"""Assistants for clients to drive. One that must wait does so until the test, in whatever language, makes a file."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runs.assistants import RunContext, assistant

LOOK_SECONDS = 0.01


@assistant
def steps(run: RunContext, input: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Take `count` steps: each emits its number and adds `tag` and number to the thread's log.

    With `gates`, a directory, step n waits for the file n in it.
    """
    for number in range(input["count"]):
        if "gates" in input:
            _wait_for(Path(input["gates"], str(number)))
        run.emit({"number": number})
        yield {"log": [*run.state.get("log", []), f"{input.get('tag', '')}{number}"]}


@assistant
def failing(run: RunContext, input: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Fail after one step."""
    yield {"log": ["begun"]}
    raise ValueError(input.get("message", "kaput"))


def _wait_for(gate: Path) -> None:
    while not gate.exists():
        time.sleep(LOOK_SECONDS)


def registrations() -> str:
    """All of this module, as RUNYARD_ASSISTANTS."""
    return ",".join(f"{name}={__name__}:{name}" for name in ("steps", "failing"))
