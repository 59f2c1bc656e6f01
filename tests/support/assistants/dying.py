"""Those that die."""

import os
import signal
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import ANSWER, beat_for_ever, present


@assistant
def killed_once(run: RunContext, input: Any) -> dict[str, int]:
    """The first attempt is killed, as by the system when memory is short."""
    with present(run):
        if run.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return ANSWER


@assistant
def poison(run: RunContext, input: Any) -> None:
    """Every attempt is killed."""
    with present(run):
        os.kill(os.getpid(), signal.SIGKILL)


@assistant
def worker_killer(run: RunContext, input: Any) -> None:
    """Every attempt takes its whole worker with it."""
    with present(run, worker=os.getppid()):
        os.kill(os.getppid(), signal.SIGKILL)
        beat_for_ever(run)
