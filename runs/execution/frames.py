"""Which frames an attempt of a function assistant shows, by the stream modes its run was created with."""

from datetime import UTC, datetime
from typing import Any

from runs.execution.stream_writer import FLUSH_SECONDS, StreamWriter
from runs.models import Checkpoint, Run


class AttemptFrames:
    """Turns what happens in an attempt into frames: `metadata` first, then the modes that were asked for."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._modes = frozenset(run.kwargs.get("stream_mode") or ["values"])
        self._writer = StreamWriter(run.pk, run.attempt)
        self._task_id = f"{run.pk}:{run.attempt}"

    def begin(self, given: Any) -> None:
        """The attempt has begun. Not in an event loop."""
        self._writer.write_first("metadata", {"run_id": str(self._run.pk), "attempt": self._run.attempt})
        task = {"id": self._task_id, "name": self._run.assistant, "input": given, "triggers": ["__start__"]}
        self._show("tasks", "task", task, step=0)

    def custom(self, data: Any) -> None:
        """What the assistant emits."""
        if "custom" in self._modes:
            self._writer.write("custom", data)

    def step(self, delta: dict[str, Any], checkpoint: Checkpoint) -> None:
        """A durable step: it is committed."""
        self._state(delta, checkpoint.values)
        self._show("checkpoints", "checkpoint", _present_checkpoint(checkpoint), step=checkpoint.step)

    def result(self, delta: dict[str, Any] | None, state: dict[str, Any], error: dict[str, Any] | None) -> None:
        """What the assistant returned or failed with; written before the outcome is committed."""
        if delta is not None:
            self._state(delta, {**state, **delta})
        failed = None if error is None else f"{error['type']}({error['message']!r})"
        result: dict[str, Any] = {
            "id": self._task_id,
            "name": self._run.assistant,
            "error": failed,
            "result": delta,
            "interrupts": [],
        }
        self._show("tasks", "task_result", result, step=0)

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens to what is announced of the run, as far as is known."""
        return self._writer.is_heard

    def close(self, *, flush: bool = True) -> int | None:
        """Write what is left, within a bound, unless nobody is to see it; return the number of the last frame."""
        return self._writer.close(FLUSH_SECONDS if flush else 0.0)

    def _state(self, delta: dict[str, Any], values: dict[str, Any]) -> None:
        if "updates" in self._modes:
            self._writer.write("updates", {self._run.assistant: delta})
        if "values" in self._modes:
            self._writer.write("values", values)

    def _show(self, mode: str, kind: str, payload: dict[str, Any], *, step: int) -> None:
        """Shown under its own mode, and wrapped under `debug`."""
        if mode in self._modes:
            self._writer.write(mode, payload)
        if "debug" in self._modes:
            now = datetime.now(UTC).isoformat()
            self._writer.write("debug", {"step": step, "timestamp": now, "type": kind, "payload": payload})


def _present_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    thread_id = str(checkpoint.thread_id)

    def config(checkpoint_id: Any) -> dict[str, Any]:
        return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": str(checkpoint_id)}}

    return {
        "config": config(checkpoint.pk),
        "parent_config": None if checkpoint.parent_id is None else config(checkpoint.parent_id),
        "values": checkpoint.values,
        "metadata": checkpoint.metadata,
        "next": checkpoint.next,
        "tasks": [],
    }
