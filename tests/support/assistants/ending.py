"""Those that end."""

import logging
import sys
import threading
import time
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import ANSWER, is_alive, present, wait_at_gate
from tests.support.ledger import entries


@assistant
def neighbour(run: RunContext, input: Any) -> dict[str, int]:
    """Work until the test opens the gate named like the run, then answer."""
    with present(run):
        wait_at_gate(run, run.id)
    return ANSWER


@assistant
def prompt(run: RunContext, input: Any) -> dict[str, int]:
    """Answer at once, noting whether the process of the run named in the input is alive."""
    predecessor = (input or {}).get("after")
    alive = [pid for pid in {entry.pid for entry in entries(predecessor)} if is_alive(pid)] if predecessor else []
    with present(run, alive=alive):
        return ANSWER


@assistant
def napper(run: RunContext, input: Any) -> dict[str, int]:
    """Sleep for the number of seconds in the input, then answer."""
    with present(run):
        time.sleep(input["seconds"])
    return ANSWER


@assistant
def talker(run: RunContext, input: Any) -> dict[str, int]:
    """Log and print, also from a thread."""
    say = logging.getLogger("assistants").warning
    thread = threading.Thread(target=say, args=("said by its thread",))
    with present(run):
        say("said by the assistant")
        thread.start()
        thread.join()
        print("printed")  # noqa: T201
    return ANSWER


@assistant
def quitter(run: RunContext, input: Any) -> None:
    """Call sys.exit() although nobody asked for it."""
    with present(run):
        sys.exit(3)
