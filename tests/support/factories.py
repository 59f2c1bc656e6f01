"""Rows to test with, made through the services: a thread, a run at each point of its life, a worker."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from runs.actors import Actor, system
from runs.assistants import RunContext, assistant
from runs.models import Checkpoint, ClockTimestamp, Run, Thread, Worker
from runs.services.cancel import cancel_run
from runs.services.checkpoints import write_checkpoint
from runs.services.create import CreatedRun, RunSpec, create_run
from runs.services.draining import drain_worker
from runs.services.idempotency import Idempotency
from runs.services.lifecycle import Outcome, claim_run, executor_gone, finish_run
from runs.services.threads import create_thread
from runs.services.workers import bury_worker, register_worker
from runs.states import CancelAction, Departure, RunStatus

SYSTEM = system("test")

#: Registered by the fixture `assistants`.
ASSISTANTS = {
    "echo": "tests.support.factories:echo",
    "resumable": "tests.support.factories:resumable",
    "hasty": "tests.support.factories:hasty",
}


@assistant
def echo(run: RunContext, input: Any) -> Any:
    """Return what came in."""
    return input


@assistant(resumable=True)
def resumable(run: RunContext, input: Any) -> Any:
    """Continue from the head in a later attempt."""
    return input


@assistant(timeout_seconds=7)
def hasty(run: RunContext, input: Any) -> Any:
    """May not take long."""
    return input


def make_actor(name: str = "ada") -> Actor:
    """A user's actor; the user is made if need be."""
    user, _ = User.objects.get_or_create(username=name)
    return Actor(name=f"user:{name}", owner=user)


def make_thread(actor: Actor | None = None) -> Thread:
    """An empty thread."""
    return create_thread(actor=actor or make_actor())


def create(
    thread: Thread,
    strategy: str = "enqueue",
    *,
    actor: Actor | None = None,
    idempotency: Idempotency | None = None,
    **spec: Any,
) -> CreatedRun:
    """Accept a run of `echo` (unless `assistant` says otherwise) on the thread, as its owner."""
    actor = actor or Actor(name=f"user:{thread.owner.username}", owner=thread.owner)
    wanted = RunSpec(**{"assistant": "echo", "multitask_strategy": strategy, **spec})
    return create_run(thread_id=thread.pk, spec=wanted, actor=actor, idempotency=idempotency)


def make_run(thread: Thread, strategy: str = "enqueue", **spec: Any) -> Run:
    """A pending run."""
    return create(thread, strategy, **spec).run


def make_worker(host: str = "host") -> Worker:
    """A living worker."""
    return register_worker(host=host, version="1", capacity=4)


def try_claim(run: Run, worker: Worker | None = None) -> Run | None:
    """The run as a running attempt, or None if the claim is lost."""
    return claim_run(run_id=run.pk, worker_id=(worker or make_worker()).pk)


def claim(run: Run, worker: Worker | None = None) -> Run:
    """The run as a running attempt."""
    claimed = try_claim(run, worker)
    assert claimed is not None
    return claimed


def running(thread: Thread, worker: Worker | None = None, **spec: Any) -> Run:
    """A run that a worker executes."""
    return claim(make_run(thread, **spec), worker)


def step(run: Run, **delta: Any) -> Checkpoint:
    """A checkpoint of the run's attempt."""
    return write_checkpoint(run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt, delta=delta)


def finish(run: Run, status: RunStatus = RunStatus.SUCCESS, **values: Any) -> Run:
    """The run, ended by itself."""
    error = {"type": "ValueError", "message": "no", "traceback": ""} if status == RunStatus.ERROR else None
    outcome = Outcome(status=status, values=values or None, error=error)
    return finish_run(run_id=run.pk, attempt=run.attempt, outcome=outcome)


def cancel(run: Run, action: CancelAction = CancelAction.INTERRUPT, actor: Actor = SYSTEM) -> Run:
    """The run, cancelled."""
    return cancel_run(run_id=run.pk, actor=actor, action=action)


def leave(run: Run, departure: Departure = Departure.LEFT) -> Run | None:
    """The executor of the run's attempt is gone."""
    return executor_gone(
        run_id=run.pk, attempt=run.attempt, worker_id=worker_of(run), departure=departure, actor=system("worker")
    )


def worker_of(run: Run) -> UUID:
    """The id of the worker that holds the run."""
    assert run.worker_id is not None
    return run.worker_id


def expire(worker: Worker) -> None:
    """Let the worker's lease run out."""
    Worker.objects.filter(pk=worker.pk).update(expires_at=ClockTimestamp() - timedelta(seconds=1))


def make_overdue(run: Run) -> Run:
    """Let the run's time limit pass."""
    Run.objects.filter(pk=run.pk).update(timeout_at=ClockTimestamp() - timedelta(seconds=1))
    return run


def drain(worker: Worker) -> None:
    """Let the worker claim nothing more."""
    assert drain_worker(worker_id=worker.pk, actor=SYSTEM)


def bury(worker: Worker) -> None:
    """Let the worker's lease run out and bury it."""
    expire(worker)
    assert bury_worker(worker.pk)


def stored(run: Run) -> Run:
    """The run as the database has it."""
    return Run.objects.get(pk=run.pk)


def head_values(thread: Thread) -> dict[str, Any] | None:
    """The thread's state as the database has it; None: it is empty."""
    thread.refresh_from_db()
    return None if thread.head is None else thread.head.values


def history(run: Run) -> list[tuple[str | None, str]]:
    """The run's transitions, in order."""
    return list(run.events.values_list("from_status", "to_status"))
