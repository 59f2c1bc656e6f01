"""How many processes, and how many attempts in each."""

import math
import os
from dataclasses import dataclass

from runs.conf import runs_settings
from runs.execution.slots import MAX_SLOTS


@dataclass(frozen=True)
class Sizes:
    """Of a pool."""

    processes: int
    #: In each process.
    attempts: int
    #: Processes for runs that are executed alone, at a time.
    alone: int


def sizes(concurrency: int) -> Sizes:
    """Share the concurrency out. Raises SystemExit if there are not so many slots."""
    processes = min(runs_settings().LOOP_PROCESSES or os.cpu_count() or 1, concurrency)
    size = Sizes(processes, math.ceil(concurrency / processes), runs_settings().LOOP_ALONE_PROCESSES)
    if size.processes * size.attempts + size.alone > MAX_SLOTS:
        raise SystemExit(f"--concurrency {concurrency} is too much for one worker: at most {MAX_SLOTS} runs at a time.")
    return size
