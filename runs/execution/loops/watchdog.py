"""Who holds a loop that does not turn: said by the name of the assistant, while it does."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runs import metrics
from runs.conf import runs_settings
from runs.dispatch import MESSENGER
from runs.execution.slots import Slot

if TYPE_CHECKING:
    from runs.execution.loops.attempt import LoopAttempt

logger = logging.getLogger(__name__)

TURN_SECONDS = 0.1
#: Of the stack of what holds a loop, the innermost frames.
FRAMES = 8


class Watchdog:
    """A thread that looks whether the loop turns. It kills nobody: that is the business of orders and their grace."""

    def __init__(self, loop: asyncio.AbstractEventLoop, slot: Slot, attempts: "Mapping[int, LoopAttempt]") -> None:
        self._loop, self._slot, self._attempts = loop, slot, attempts
        self._turned_at = time.monotonic()
        self._main_thread = threading.main_thread().ident
        self._thread = threading.Thread(target=self._watch, name=f"{MESSENGER}-watchdog", daemon=True)

    def start(self) -> None:
        """To be called before the loop runs."""
        self._loop.call_soon(self._turn)
        self._thread.start()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        self._slot.note_turn()
        self._loop.call_later(TURN_SECONDS, self._turn)

    def _watch(self) -> None:
        reported = 0.0
        while True:
            time.sleep(TURN_SECONDS)
            turned_at = self._turned_at
            stands_for = time.monotonic() - turned_at
            if stands_for < runs_settings().LOOP_STALL_SECONDS or turned_at == reported:
                continue
            if self._slot.table.lease_confirmed:  # without a lease everything is to stand still
                reported = turned_at
                self._report(stands_for)

    def _report(self, seconds: float) -> None:
        holder = self._holder()
        name = "the executor itself" if holder is None else holder.name
        metrics.loop_stalls.inc(assistant="" if holder is None else holder.assistant)
        logger.warning(
            "the loop of this process has not turned for %.1f s; it is held by %s, and %d attempts wait:\n%s",
            seconds,
            name,
            len(self._attempts),
            self._stack(),
        )

    def _holder(self) -> "LoopAttempt | None":
        task = asyncio.current_task(self._loop)
        return next((one for one in list(self._attempts.values()) if task in one.guard.owner.tasks), None)

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._main_thread or 0)
        return "".join(traceback.format_stack(frame)[-FRAMES:])
