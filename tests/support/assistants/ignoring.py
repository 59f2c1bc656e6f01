"""Those that do not heed an interruption."""

import ctypes
import hashlib
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import ANSWER, present, wait_at_gate
from tests.support.ledger import gate_is_open, note


@assistant
def c_call(run: RunContext, input: Any) -> None:
    """One call into C that does not return to Python for minutes."""
    with present(run):
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2_000_000_000)


@assistant
def blocked(run: RunContext, input: Any) -> dict[str, int]:
    """A call into C that lets no thread of the process execute Python, for the number of seconds in the input."""
    with present(run):
        ctypes.PyDLL(None).sleep(int(input["seconds"]))
    return ANSWER


@assistant
def stubborn(run: RunContext, input: Any) -> None:
    """Ignore every interruption, until the test opens the gate named like the run."""
    try:
        ignore_interruptions(run, "start")
    finally:
        note(run.id, run.attempt, "left")


def ignore_interruptions(run: RunContext, *said: str) -> None:
    """Two loops: an interruption that comes between two rounds of the inner one is ignored, too.

    `said`: what is noted within them, for a test that cancels as soon as it reads that.
    """
    begins = iter(said)
    while not gate_is_open(run.id):
        try:
            while not gate_is_open(run.id):
                try:
                    for kind in begins:
                        note(run.id, run.attempt, kind)
                    wait_at_gate(run, run.id)
                except BaseException:
                    note(run.id, run.attempt, "ignored")
        except BaseException:
            note(run.id, run.attempt, "ignored")
