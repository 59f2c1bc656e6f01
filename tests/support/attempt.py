"""An attempt without a worker: its guard in this process, and orders that arrive while it executes."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from uuid import UUID, uuid4

from runs.execution import interruption
from runs.execution.interruption import INTERRUPT_SIGNAL, Guard, install_handlers
from runs.execution.slots import Order, Slot, SlotTable


class LocalAttempt:
    """What a pool child has of an attempt, and the main process's side of it as a thread."""

    def __init__(self) -> None:
        self.table = SlotTable()
        self.worker_id = uuid4()
        self.table.begin_life(self.worker_id)
        self.table.confirm_lease(time.monotonic() + 3600)
        self.run_id = uuid4()
        self.slot: Slot = self.table.slots[0]
        self.main_process = _MainProcess(self.slot)
        self.guard = Guard(self.slot, self.run_id, 1, self.worker_id)

    def order(self, order: Order = Order.CANCELLED, *, run_id: UUID | None = None, attempt: int = 1) -> None:
        """Order now: it is in the slot when this returns, and so is the signal."""
        self.slot.order(run_id or self.run_id, attempt, order)
        os.kill(os.getpid(), INTERRUPT_SIGNAL)

    def order_soon(self, order: Order = Order.CANCELLED, *, times: int = 1, every: float = 0.05) -> None:
        """Order in a moment, while the assistant executes, and repeat it."""
        self.main_process.order(self.run_id, order, times, every)


class _MainProcess:
    """A thread that is older than the attempt, so that it is none of those that the attempt has started."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._orders: SimpleQueue[tuple[UUID, Order, int, float] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="main process")
        self._thread.start()

    def order(self, run_id: UUID, order: Order, times: int, every: float) -> None:
        self._orders.put((run_id, order, times, every))

    def stop(self) -> None:
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (wanted := self._orders.get()) is not None:
            run_id, order, times, every = wanted
            for _ in range(times):
                time.sleep(every)
                self._slot.order(run_id, 1, order)
                os.kill(os.getpid(), INTERRUPT_SIGNAL)


@contextmanager
def local_attempt() -> Iterator[LocalAttempt]:
    """An attempt that this process executes; handlers and hooks are as before when it is over."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, INTERRUPT_SIGNAL)}
    hook = threading.excepthook
    install_handlers()
    attempt = LocalAttempt()
    try:
        with attempt.slot.occupied(os.getpid(), attempt.run_id):
            attempt.slot.begin(os.getpid(), attempt.run_id, 1, time.monotonic() + 3600)
            with attempt.guard.watching():
                yield attempt
    finally:
        attempt.main_process.stop()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        threading.excepthook = hook
        interruption._watch.without_attempt = None


def in_thread(work: object) -> "tuple[threading.Thread, Future[str]]":
    """Run `work` in a thread; the future has its result, or the name of what it raised."""
    outcome: Future[str] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())  # type: ignore[operator]
        except BaseException as error:
            outcome.set_result(type(error).__name__)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome
