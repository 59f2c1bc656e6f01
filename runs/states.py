"""The states of runs and threads and the only transitions there are. Start reading here.

Every transition happens under the thread's row lock (`runs.locks`) and leaves a `RunEvent`.
"""

from django.db.models import TextChoices


class RunStatus(TextChoices):
    """Where a run is in its life; the last four are terminal and never change again."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"


class ThreadStatus(TextChoices):
    """What a thread shows: a function of its runs and its head, never set by hand."""

    IDLE = "idle"
    BUSY = "busy"
    INTERRUPTED = "interrupted"
    ERROR = "error"


class MultitaskStrategy(TextChoices):
    """What a new run does to the runs in flight on its thread."""

    REJECT = "reject"
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"
    ENQUEUE = "enqueue"


class CancelAction(TextChoices):
    """Whether a cancelled run keeps the steps it committed or returns its thread to its base."""

    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


class DisconnectMode(TextChoices):
    """What happens to a run when the last client that asked for it has gone."""

    CANCEL = "cancel"
    CONTINUE = "continue"


class OnCompletion(TextChoices):
    """Whether a run's thread is kept when the run has ended, or deleted with it."""

    KEEP = "keep"
    DELETE = "delete"


class Departure(TextChoices):
    """Why an executor no longer executes its attempt."""

    LEFT = "left"
    CRASH = "crash"
    SHUTDOWN = "shutdown"
    TERMINATED = "shutdown: of its process alone"
    NEIGHBOUR = "neighbour"
    SUSPECT = "neighbour: of a crash that may be its own"


#: What is said of the end of a process, beside the departure.
PROCESS_EXITED = "process {pid} exited"

IN_FLIGHT = frozenset({RunStatus.PENDING, RunStatus.RUNNING})
TERMINAL = frozenset(RunStatus) - IN_FLIGHT
FAILED = frozenset({RunStatus.ERROR, RunStatus.TIMEOUT})

#: from (None: the run does not exist yet) -> the statuses it may become.
#: A terminal status "becomes itself" once: when its lease ends, that is when the run is settled.
TRANSITIONS: dict[RunStatus | None, frozenset[RunStatus]] = {
    None: frozenset({RunStatus.PENDING}),
    RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.INTERRUPTED}),
    RunStatus.RUNNING: frozenset(
        {RunStatus.SUCCESS, RunStatus.ERROR, RunStatus.TIMEOUT, RunStatus.INTERRUPTED, RunStatus.PENDING}
    ),
    **{status: frozenset({status}) for status in TERMINAL},
}


def is_legal(from_status: RunStatus | None, to_status: RunStatus) -> bool:
    """Return whether the table has this transition."""
    return to_status in TRANSITIONS[from_status]


def must_be_alone(reason: str) -> bool:
    """Whether a run that was handed back for this reason may have killed its process: it is executed alone then."""
    proven = f"{Departure.CRASH}: {PROCESS_EXITED.partition('{')[0]}"
    return reason.startswith((str(Departure.SUSPECT), proven))
