"""A whole deployment of real processes for crash tests: web, workers and schedulers on the session's engines."""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.assistants import registrations
from tests.support.ledger import VARIABLE, wait_until
from tests.support.scheduling import SchedulerProcess
from tests.support.server import ServerProcess
from tests.support.worker import WorkerProcess

if TYPE_CHECKING:
    from runs.models import Run

#: Times that make recovery quick. A lease is long enough for a worker on a loaded machine to renew it in time.
SHORT = {
    "LEASE_SECONDS": 3.0,
    "RENEW_SECONDS": 0.5,
    "SWEEP_SECONDS": 0.2,
    "GRACE_SECONDS": 1.0,
    "INTERRUPT_EVERY_SECONDS": 0.2,
    "SOFT_SHUTDOWN_SECONDS": 1.0,
    "REDISPATCH_SECONDS": 2.0,
    "REDISPATCH_MAX_SECONDS": 8.0,
    "PUBLISH_BREAK_SECONDS": 1.0,
    "DISCONNECT_GRACE": 2.0,
    "TRANSACTION_IDLE_SECONDS": 3.0,
}


class Stack:
    """So many of each kind, killed with the block. `runs` goes over the short times."""

    def __init__(
        self,
        *,
        workers: int = 2,
        schedulers: int = 1,
        webs: int = 0,
        concurrency: int = 2,
        faults: tuple[str, ...] = ("mortal",),
        runs: dict[str, Any] | None = None,
        **environment: str,
    ) -> None:
        self.runs = SHORT | (runs or {})
        self._concurrency, self._faults, self._environment = concurrency, faults, environment
        self.workers = [self.new_worker() for _ in range(workers)]
        self.schedulers = [
            SchedulerProcess(name=f"scheduler-{one}", runs=self.runs, **environment) for one in range(schedulers)
        ]
        self.webs = [self._new_web(f"web-{one}") for one in range(webs)]
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self._exit.callback(self._kill_all)
        with self._exit:
            for process in self.processes:
                process.launch()
            for process in self.processes:
                process.wait_until_ready()
            self._exit = self._exit.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def processes(self) -> list[WorkerProcess | SchedulerProcess | ServerProcess]:
        """All of them."""
        return [*self.workers, *self.schedulers, *self.webs]

    @property
    def scheduler_pids(self) -> list[int]:
        """Of the schedulers that were started."""
        return [one.process.pid for one in self.schedulers if one.process is not None]

    def _kill_all(self) -> None:
        for process in self.processes:
            if process.is_running:
                process.kill()

    def new_worker(self) -> WorkerProcess:
        """One more of the same kind, not started yet."""
        return WorkerProcess(
            concurrency=self._concurrency, faults=self._faults, runs=self.runs, environment=self._environment
        )

    def holder(self, run: "Run") -> WorkerProcess:
        """The worker that holds the run."""
        from runs.models import Worker

        pid = int(str(Worker.objects.get(runs=run.pk).host).rpartition(":")[2])
        return next(worker for worker in self.workers if worker.pid == pid)

    def _new_web(self, name: str) -> ServerProcess:
        environment = {
            "RUNYARD_ASSISTANTS": registrations(),
            "RUNYARD_RUNS_SETTINGS": json.dumps(self.runs),
            **self._environment,
        }
        directory = Path(os.environ[VARIABLE])
        return ServerProcess(
            directory, application="tests.support.mortal:application", name=name, pool_size=4, **environment
        )

    def replace(self, worker: WorkerProcess) -> WorkerProcess:
        """Begin to start another in the place of a dead one, which a supervisor would do."""
        worker.kill()
        successor = self.new_worker()
        self.workers[self.workers.index(worker)] = successor
        successor.launch()
        return successor

    def mend(self, workers: int | None = None) -> None:
        """Start anew what has died; return when all is ready again, or so many of the workers and all else."""
        others: list[SchedulerProcess | ServerProcess] = [*self.schedulers, *self.webs]
        for other in others:
            if not other.is_running:
                other.launch()
        wanted = len(self.workers) if workers is None else workers
        wait_until(lambda: self._living_workers() >= wanted, "enough workers", 90.0)
        for other in others:
            other.wait_until_ready()

    def _living_workers(self) -> int:
        """How many are ready. One that was killed may need a moment to die: it is replaced when it has."""
        for worker in list(self.workers):
            if not worker.is_running:
                self.replace(worker)
        return sum(worker.is_running and worker.has_lease() for worker in self.workers)
