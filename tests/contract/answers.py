"""What a client gives back, in a form that can be compared."""

from collections.abc import Iterable
from typing import Any

from tests.support.ledger import wait_until

END = ("end", None)


def shown(parts: Iterable[Any]) -> list[tuple[str, Any]]:
    """What the parts of a stream say."""
    return [(part.event, part.data) for part in parts]


def between(parts: Iterable[Any]) -> list[tuple[str, Any]]:
    """The same, without the beginnings and the end."""
    return [one for one in shown(parts) if one[0] not in ("metadata", "end")]


def take(stream: Any, event: str, data: Any) -> list[Any]:
    """Read up to and including this part; the stream stays open."""
    parts = []
    for part in stream:
        parts.append(part)
        if (part.event, part.data) == (event, data):
            return parts
    raise AssertionError(f"the stream ended after {shown(parts)}")


def begun(run_id: str, attempt: int = 1) -> tuple[str, dict[str, Any]]:
    """The first part of an attempt."""
    return ("metadata", {"run_id": run_id, "attempt": attempt})


def status(sdk: Any, thread_id: str, run_id: str) -> str:
    """The run's status now."""
    return str(sdk.runs.get(thread_id, run_id)["status"])


def wait_for_status(sdk: Any, thread_id: str, run_id: str, wanted: str) -> None:
    """Return when the run has it."""
    wait_until(lambda: status(sdk, thread_id, run_id) == wanted, f"the run to be {wanted}")
