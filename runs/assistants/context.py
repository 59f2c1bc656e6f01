"""What an assistant sees of its run."""

import operator
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from runs.assistants.usage import Usage

#: What the column of a run can hold.
MOST_MESSAGES = 2**31 - 1


class Attempt(Protocol):
    """The side of the executor that a context talks to."""

    def emit(self, data: Any) -> None:
        """Send a custom event, or raise the interruption if the attempt must stop."""

    def report(self, **known: Any) -> None:
        """Note what is known about the run so far."""

    @property
    def must_stop(self) -> bool:
        """Whether the attempt has been told to stop or no longer owns its run."""


class RunContext:
    """The run an assistant executes, and what it can tell the server about it.

    Closed when the assistant has returned: what a leftover thread or task emits is refused then.
    """

    def __init__(
        self,
        attempt_side: Attempt,
        *,
        run_id: UUID,
        thread_id: UUID,
        attempt: int,
        kwargs: Mapping[str, Any],
        metadata: Mapping[str, Any],
        state: Mapping[str, Any],
        usage: Mapping[str, Any],
        model_name: str | None,
    ) -> None:
        self._attempt_side = attempt_side
        self._usage = Usage(usage)
        self._model_name = model_name
        self.id = run_id
        self.thread_id = thread_id
        #: Number of this execution; above 1 an earlier one was lost.
        self.attempt = attempt
        self.metadata = dict(metadata)
        self.config: dict[str, Any] = dict(kwargs.get("config") or {})
        self.context: dict[str, Any] = dict(kwargs.get("context") or {})
        #: The thread's state; what is yielded is merged into it.
        self.state: dict[str, Any] = dict(state)

    def emit(self, data: Any) -> None:
        """Send a custom event to whoever watches the run. `data` is any JSON value.

        Raises InvalidJSON if it is not; an Interruption if the run must stop.
        """
        self._attempt_side.emit(data)

    @property
    def cancelled(self) -> bool:
        """Whether the run has been told to stop; for loops that would rather ask than be interrupted."""
        return self._attempt_side.must_stop

    def idempotency_key(self, step: str) -> str:
        """A key for an effect outside that is the same in every attempt of this run, so that it happens once."""
        return f"{self.id}:{step}"

    @property
    def model_name(self) -> str | None:
        """The model that did the work, as it will be shown on the run."""
        return self._model_name

    @model_name.setter
    def model_name(self, name: str) -> None:
        self._model_name = name.strip()[:128]
        self._attempt_side.report(model_name=self._model_name)

    def usage(
        self, *, input_tokens: int = 0, output_tokens: int = 0, calls: int = 1, model: str = "", caller: str = ""
    ) -> None:
        """Add what a model call used to the run's totals; `model` and `caller` break it down further.

        Raises ValueError if a number is negative: totals only grow.
        """
        totals = self._usage.add(
            input_tokens=input_tokens, output_tokens=output_tokens, calls=calls, model=model, caller=caller
        )
        self._attempt_side.report(usage=totals)

    def messages(self, *, count: int | None = None, first: str | None = None, last: str | None = None) -> None:
        """Tell how many messages the run has and what the first and the last one say (2,000 characters are kept)."""
        if count is not None and not 0 <= operator.index(count) <= MOST_MESSAGES:
            raise ValueError(f"count must be between 0 and {MOST_MESSAGES}, not {count}")
        self._attempt_side.report(
            message_count=count,
            first_message=None if first is None else first[:2000],
            last_message=None if last is None else last[:2000],
        )
