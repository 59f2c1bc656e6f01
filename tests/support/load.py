"""Load for the time in which something is broken: runs, accepted one after the other, that all have to end well."""

import random
import threading
from contextlib import suppress
from typing import Self
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from runs.errors import OutcomeUnknown, QueueFull
from runs.models import Run, Thread
from tests.support.factories import make_run, make_thread
from tests.support.ledger import wait_until

PATIENCE_SECONDS = 120.0


class Load:
    """A thread that creates runs all the time until the end of the block; `create` is what creates one."""

    def __init__(self, *, threads: int = 5, pause: float = 0.1, seconds: float = 0.2) -> None:
        self.accepted: list[UUID] = []
        self._threads: list[Thread] = [make_thread() for _ in range(threads)]
        self._pause, self._input = pause, {"seconds": seconds}
        self._stopped = threading.Event()
        self._worker = threading.Thread(target=self._work, name="load")

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._worker.join()

    def wait_for_more(self, count: int) -> None:
        """Return when so many more have been accepted."""
        wanted = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= wanted, f"{count} more runs to be accepted", PATIENCE_SECONDS)

    def _work(self) -> None:
        while not self._stopped.wait(self._pause):
            with suppress(DatabaseError, InterfaceError, OutcomeUnknown, QueueFull):  # not accepted
                thread = random.choice(self._threads)
                run = make_run(thread, assistant="payer", kwargs={"input": self._input}, max_attempts=100)
                self.accepted.append(run.pk)
                continue
            connections.close_all()
        connections.close_all()

    def wait_until_settled(self) -> list[Run]:
        """Everything that was accepted, in order, when nothing of it is in flight or leased any more."""
        settled = Run.objects.filter(pk__in=self.accepted, finished_at__isnull=False, leased=False)
        wait_until(lambda: settled.count() == len(self.accepted), "everything accepted to be settled", PATIENCE_SECONDS)
        return list(settled.order_by("sequence"))
