"""The pool of a worker whose runs mostly wait: `--pool custom`, and LoopPool named by CELERY_CUSTOM_WORKER_POOL.

The main process is the same as with prefork, and so are its keeper, its commands and its deadlines.
"""

import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from celery.concurrency import prefork
from celery.concurrency.base import BasePool
from celery.concurrency.prefork import process_initializer

from runs import pools
from runs.execution.loops.child import Child

if TYPE_CHECKING:  # Celery imports this before Django is set up
    from runs.execution.loops.messages import Job
    from runs.execution.slots import SlotTable

logger = logging.getLogger(__name__)

JOIN_SECONDS = 0.05
#: How long a process may take to end when it has nothing to do any more.
END_SECONDS = 5.0


#: Typed by hand: its stubs do not know it. Acknowledges what has ended while Celery's loop stands still.
_acknowledge: Callable[[Any], None] = vars(prefork)["_run_ready_callbacks"]


class LoopPool(BasePool):
    """A few processes, each with a loop on which many runs are executed at once."""

    uses_semaphore = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._children: list[Child] = []
        self._waiting: deque[Job] = deque()
        self._numbers = count(1)
        self._jobs: dict[int, Job] = {}
        self._hub: Any = None
        self._is_stopping = False

    # Its life

    def on_start(self) -> None:
        """Start the processes; those for runs that are to be alone are started when there is one."""
        from runs.execution.loops.process import prepare
        from runs.execution.loops.sizes import sizes

        prepare()
        size = sizes(self.limit)
        for number in range(size.processes):
            self._children.append(Child(range(number * size.attempts, (number + 1) * size.attempts)))
            self._fork(self._children[-1])
        first = size.processes * size.attempts
        self._children += [Child(range(slot, slot + 1), alone=True) for slot in range(first, first + size.alone)]

    def register_with_event_loop(self, loop: Any) -> None:
        """Celery's loop; told anew after every loss of the broker."""
        self._hub = loop
        for child in self._living():
            self._listen(child)

    def on_stop(self) -> None:
        """Wait until every run has ended or was handed back: orders, and the ends of grace, go on meanwhile."""
        self._is_stopping = True
        while self._jobs:
            self.maintain_pool()
            for child in list(self._living()):
                self._hear(child)
            if self._hub is not None:
                self._hub.fire_timers()
                _acknowledge(self._hub)
            time.sleep(JOIN_SECONDS)
        self._end_processes()

    def on_terminate(self) -> None:
        """Have everything handed back, at once."""
        for child in self._living():
            child.kill(signal.SIGTERM)
        self.on_stop()

    def _end_processes(self) -> None:
        living = list(self._living())
        for child in living:
            self._forget(child)
        deadline = time.monotonic() + END_SECONDS
        while living and time.monotonic() < deadline:
            living = [child for child in living if not child.has_ended()]
            time.sleep(JOIN_SECONDS)
        for child in living:
            child.kill()

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Celery's own; only a cold shutdown does so for a run. The process hands back what it executes."""
        os.kill(pid, signal or 15)

    # Runs

    def on_apply(  # type: ignore[override]
        self,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> "Job":
        """A message: execute its run as soon as a process has a slot for it."""
        from runs.execution.loops.messages import Job

        job = Job(next(self._numbers), args, callback, accept_callback)
        if not job.is_run:
            self._done(job, job.refuse)
            return job
        self._jobs[job.number] = job
        self._waiting.append(job)
        self._assign()
        return job

    def _assign(self) -> None:
        """Give what waits to whoever can; a worker that stops, or is drained, gives it back to the others."""
        for job in [self._waiting.popleft() for _ in range(len(self._waiting))]:
            if self._is_stopping or self._table.is_paused:
                self._done(job, job.give_back)
            elif not self._give(job):
                self._waiting.append(job)

    def _give(self, job: "Job") -> bool:
        child = min(self._able(alone=job.alone), key=lambda one: len(one.jobs), default=None)
        if child is None:
            return False
        if not child.pid:
            self._fork(child)
        slot = next(slot for slot in child.free if self._is_vacant(slot))
        if not child.send(job=job.number, slot=slot, run=job.run_id):
            return False
        child.jobs[slot] = job
        job.accept(child.pid)
        return True

    def _able(self, *, alone: bool) -> Iterator[Child]:
        for child in self._children:
            usable = child.alone == alone and child.is_usable and self._turns(child)
            if usable and any(map(self._is_vacant, child.free)):
                yield child

    def _turns(self, child: Child) -> bool:
        """A loop that somebody holds is given nothing; there may be another one."""
        from runs.conf import runs_settings

        return not child.pid or self._table.slots[child.slots.start].stands_for < runs_settings().LOOP_STALL_SECONDS

    def _is_vacant(self, slot: int) -> bool:
        """A predecessor that died there must be seen by the observer first."""
        return self._table.slots[slot].execution() is None

    @property
    def _table(self) -> "SlotTable":
        from runs.execution.worker import shared_table

        return shared_table()

    def _hear(self, child: Child) -> None:
        for said in child.receive():
            if said.get("leaving"):
                child.is_leaving = True
            elif (job := self._jobs.get(said["job"])) is not None:
                self._hear_of(child, job, said)
        self._assign()
        if child.alone and not child.jobs and child.pid:
            self._forget(child)  # it ends, and is forked anew for the next

    def _hear_of(self, child: Child, job: "Job", said: dict[str, Any]) -> None:
        if said.get("claimed"):
            job.claimed = True
            return
        child.jobs = {slot: other for slot, other in child.jobs.items() if other is not job}
        if said.get("returned"):
            self._waiting.append(job)
        else:
            self._done(job, lambda: job.present(said["ending"], said["assistant"]))

    def _done(self, job: "Job", present: Callable[[], None]) -> None:
        self._jobs.pop(job.number, None)
        try:
            present()
        finally:
            if (semaphore := self.options.get("semaphore")) is not None:
                semaphore.release()

    # Processes

    def maintain_pool(self, *_: Any, **__: Any) -> None:
        """Replace what has died. The observer has the runs of it handed back."""
        for child in list(self._living()):
            if child.has_ended():
                self._bury(child)
        self._assign()

    def _bury(self, child: Child) -> None:
        """Who had not claimed its run is given to another process; the rows of the others know what is next."""
        self._hear(child)
        logger.warning("loop process %s has ended with %d runs", child.pid, len(child.jobs))
        self._forget(child)
        lost, child.jobs, child.pid = list(child.jobs.values()), {}, 0
        for job in lost:
            if job.claimed:
                self._done(job, job.ignore)
            else:
                self._waiting.append(job)
        if not child.alone and not self._is_stopping:
            self._fork(child)

    def _living(self) -> Iterator[Child]:
        return (child for child in self._children if child.pid)

    def _fork(self, child: Child) -> None:
        self._table.slots[child.slots.start].note_turn()
        child.fork(lambda main_process: self._serve(child, main_process))
        if self._hub is not None:
            self._listen(child)

    def _serve(self, child: Child, main_process: socket.socket) -> None:
        """In the new process."""
        for other in self._living():
            other.close()
        process_initializer(*self.options["initargs"])
        from runs.execution.loops.process import LoopProcess

        LoopProcess(main_process, self._table, child.slots.start).run()

    def _listen(self, child: Child) -> None:
        self._hub.add_reader(child.socket, self._hear_or_bury, child)

    def _hear_or_bury(self, child: Child) -> None:
        self._hear(child)
        if child.has_ended():
            self._bury(child)

    def _forget(self, child: Child) -> None:
        if self._hub is not None and not child.is_closed:
            self._hub.remove_reader(child.socket)
        child.close()

    def _get_info(self) -> dict[str, Any]:
        return {
            "implementation": pools.LOOP_POOL,
            "max-concurrency": self.limit,
            "processes": [child.pid for child in self._living()],
            "runs": {child.pid: len(child.jobs) for child in self._living()},
        }
