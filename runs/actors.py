"""Who asks for a change: whose objects they may reach, and the name the history will show."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Actor:
    """Somebody who changes runs. `owner` None reaches the objects of everyone: operators and the system itself."""

    name: str
    owner: Any = None
    request_id: str = ""
    #: What is still to be confirmed of who they are, by the lock of whatever they change: `locks.Confirmation`.
    unconfirmed: Any = None


def system(part: str) -> Actor:
    """The server itself: "system/scheduler", "system/worker" and so on."""
    return Actor(name=f"system/{part}")
