"""What can go wrong, in the words of this product. The docstring is the default message; HTTP comes later."""

import inspect
from typing import Any


class RunError(Exception):
    """Something went wrong with a run."""

    code = "run_error"

    def __init__(self, message: str | None = None, **extra: Any) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "")
        self.extra = extra
        super().__init__(self.message)


class NotFound(RunError):
    """There is no such object, or it is not yours."""

    code = "not_found"


class ThreadNotFound(NotFound):
    """There is no thread with this id."""

    code = "thread_not_found"


class RunNotFound(NotFound):
    """There is no run with this id on this thread."""

    code = "run_not_found"


class CheckpointNotFound(NotFound):
    """The thread has no such checkpoint, or it belongs to a run that was rolled back."""

    code = "checkpoint_not_found"


class AssistantNotFound(NotFound):
    """There is no assistant with this id."""

    code = "assistant_not_found"


class GraphNotFound(NotFound):
    """There is no graph of this name."""

    code = "graph_not_found"


class GraphNotDescribed(NotFound):
    """Nobody has described this graph yet. A worker that has it does so when it starts; its log says what is wrong."""

    code = "graph_not_described"


class WorkerNotFound(NotFound):
    """There is no worker with this id."""

    code = "worker_not_found"


class VersionNotFound(NotFound):
    """The assistant has no such version."""

    code = "version_not_found"


class Conflict(RunError):
    """The request conflicts with the state of the thread or run."""

    code = "conflict"


class ThreadBusy(Conflict):
    """Thread is already running a task. Wait for it to finish or choose a different multitask strategy."""

    code = "thread_busy"


class ThreadExists(Conflict):
    """A thread with this id already exists."""

    code = "thread_exists"


class AssistantExists(Conflict):
    """An assistant with this id already exists."""

    code = "assistant_exists"


class SystemAssistant(Conflict):
    """This assistant is the server's own and cannot be changed. Create one of yours with its graph_id."""

    code = "system_assistant"


class ThreadDeleting(Conflict):
    """The thread with this id is being deleted; its last run has not stopped yet. Try again in a few seconds."""

    code = "thread_deleting"


class QueueFull(Conflict):
    """The thread's queue is full. Wait for a run to finish, or cancel one that waits."""

    code = "queue_full"


class NotCancellable(Conflict):
    """The run has already finished and can no longer be cancelled."""

    code = "not_cancellable"


class NotRetryable(Conflict):
    """The run has not ended yet: there is nothing to try again."""

    code = "not_retryable"


class WorkerGone(Conflict):
    """This life of the worker has ended; it takes no runs any more. A restart begins another, with an id of its own."""

    code = "worker_gone"


class RunGone(RunError):
    """The run that this Idempotency-Key created has been deleted."""

    code = "run_gone"


class InvalidRequest(RunError):
    """The request cannot be accepted as it is."""

    code = "invalid_request"


class UnsupportedStrategyError(InvalidRequest):
    """The multitask strategy is not supported."""

    code = "unsupported_strategy"


class UnknownAssistant(InvalidRequest):
    """There is no such assistant."""

    code = "unknown_assistant"


class InvalidJSON(InvalidRequest):
    """The JSON value cannot be stored."""

    code = "invalid_json"


class IdempotencyKeyReused(InvalidRequest):
    """This Idempotency-Key was used with a different request. Use a new key for a new request."""

    code = "idempotency_key_reused"


class IllegalTransition(RunError):
    """A run cannot go from this status to that one. This is a bug in the server."""

    code = "illegal_transition"


class Fenced(RunError):
    """This attempt no longer owns its run: whatever it writes is refused."""

    code = "fenced"


class WorkerDraining(RunError):
    """This worker is being drained: it claims nothing. Another one must take the run."""

    code = "worker_draining"


class StateUpdateLate(RunError):
    """No worker was free to compute the new state in time, so it was not changed. Try again."""

    code = "state_update_late"


class OutcomeUnknown(RunError):
    """The database did not confirm the commit. Look the run up before you send the request again."""

    code = "outcome_unknown"


class Interruption(BaseException):
    """The attempt must stop. Derives from BaseException because assistant code catches Exception."""


class RunCancelled(Interruption):
    """The run was cancelled or displaced, or another attempt has taken over."""


class RunTimedOut(Interruption):
    """The run exceeded its time limit."""


class WorkerShutdown(Interruption):
    """The worker is shutting down; another one will take the run."""
