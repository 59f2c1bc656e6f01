"""Which frames an attempt of a graph shows: LangGraph's chunks under the names that clients of its server know."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

from runs.execution.graphs.jsonable import jsonable
from runs.execution.stream_writer import FLUSH_SECONDS, StreamWriter
from runs.models import Run

#: Modes that LangGraph itself has under the same name.
_SAME = ("values", "updates", "custom", "tasks", "checkpoints", "debug")


class GraphFrames:
    """Turns what a graph streams into frames: `metadata` first, then the modes that were asked for."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._modes = frozenset(run.kwargs.get("stream_mode") or ["values"])
        self._writer = StreamWriter(run.pk, run.attempt)
        self._messages: dict[str, BaseMessage] = {}

    @property
    def modes(self) -> list[str]:
        """What to ask LangGraph for."""
        wanted = [mode for mode in _SAME if mode in self._modes]
        if self._modes & {"messages", "messages-tuple"}:
            wanted.append("messages")
        return wanted or ["values"]

    @property
    def has_events(self) -> bool:
        """Whether every event of the graph is asked for."""
        return "events" in self._modes

    @property
    def has_subgraphs(self) -> bool:
        """Whether those of subgraphs are asked for."""
        return bool(self._run.kwargs.get("subgraphs"))

    def begin(self) -> None:
        """The attempt has begun. Not in an event loop."""
        self._writer.write_first("metadata", {"run_id": str(self._run.pk), "attempt": self._run.attempt})

    def event(self, event: Mapping[str, Any]) -> None:
        """An event of LangChain's."""
        self._writer.write("events", jsonable(dict(event)))

    def chunk(self, namespace: tuple[str, ...], mode: str, data: Any) -> None:
        """What LangGraph has streamed."""
        if mode == "messages":
            self._message(namespace, *data)
        elif mode in self._modes:
            shown = jsonable(data)
            if mode == "checkpoints":
                shown = _present_checkpoint(shown)
            elif mode == "debug" and shown.get("type") == "checkpoint":
                shown["payload"] = _present_checkpoint(shown["payload"])
            self._write(mode, namespace, shown)

    def result(self, *_: Any) -> None:
        """A graph has shown its results on the way."""

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens to what is announced of the run, as far as is known."""
        return self._writer.is_heard

    def close(self, *, flush: bool = True) -> int | None:
        """Write what is left, within a bound, unless nobody is to see it; return the number of the last frame."""
        return self._writer.close(FLUSH_SECONDS if flush else 0.0)

    def _message(self, namespace: tuple[str, ...], message: BaseMessage, metadata: Mapping[str, Any]) -> None:
        about = jsonable({name: value for name, value in metadata.items() if not name.startswith("__")})
        if "messages-tuple" in self._modes:
            self._write("messages", namespace, [jsonable(message), about])
        if "messages" in self._modes:
            self._accumulate(namespace, message, about)

    def _accumulate(self, namespace: tuple[str, ...], message: BaseMessage, about: Any) -> None:
        known = self._messages.get(str(message.id))
        if known is None:
            self._write("messages/metadata", namespace, {str(message.id): {"metadata": about}})
        is_part = isinstance(message, BaseMessageChunk)
        whole: BaseMessage = known + message if is_part and isinstance(known, BaseMessageChunk) else message
        self._messages[str(message.id)] = whole
        shown = message_chunk_to_message(whole) if isinstance(whole, BaseMessageChunk) else whole
        self._write("messages/partial" if is_part else "messages/complete", namespace, [jsonable(shown)])

    def _write(self, event: str, namespace: tuple[str, ...], data: Any) -> None:
        self._writer.write("|".join((event, *namespace)), data)


def _present_checkpoint(payload: dict[str, Any]) -> dict[str, Any]:
    """With the references that clients look for, and without LangGraph's own objects in the config."""
    config, parent = _public(payload.get("config")), _public(payload.get("parent_config"))
    return {
        **payload,
        "config": config,
        "parent_config": parent,
        "checkpoint": config and _reference(config),
        "parent_checkpoint": parent and _reference(parent),
    }


def _public(config: Any) -> dict[str, Any] | None:
    if not config:
        return None
    configurable = config.get("configurable", {})
    return {"configurable": {name: value for name, value in configurable.items() if not name.startswith("__")}}


def _reference(config: dict[str, Any]) -> dict[str, Any]:
    configurable = config["configurable"]
    return {name: configurable.get(name) for name in ("thread_id", "checkpoint_ns", "checkpoint_id")}
