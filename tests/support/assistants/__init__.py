"""Test assistants: every way in which real ones spend their time, and misbehave. All write the ledger.

Those that spend time do so until they are interrupted; nobody lets one of them run to its end.
"""

from runs.assistants import Assistant
from tests.support.assistants import (
    database,
    dying,
    ending,
    heeding,
    ignoring,
    keeping,
    littering,
    machinery,
    repeating,
    sharing,
)
from tests.support.assistants.ignoring import ignore_interruptions
from tests.support.assistants.presence import ANSWER, is_alive, present, wait_at_gate

__all__ = ["ANSWER", "ASSISTANTS", "ignore_interruptions", "is_alive", "present", "registrations", "wait_at_gate"]

#: Name -> where it is.
ASSISTANTS = {
    name: f"{module.__name__}:{name}"
    for module in (ending, heeding, ignoring, littering, machinery, database, repeating, dying, sharing, keeping)
    for name, found in vars(module).items()
    if isinstance(found, Assistant)
}


def registrations() -> str:
    """All of them, as RUNYARD_ASSISTANTS."""
    return ",".join(f"{name}={path}" for name, path in ASSISTANTS.items())
