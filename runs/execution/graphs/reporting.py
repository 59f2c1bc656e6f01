"""What a graph's model calls and messages tell about its run: usage, model, number and texts of messages."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult
from langgraph._internal._config import recast_checkpoint_ns

from runs.assistants.usage import Usage
from runs.execution.graphs.scribe import scribe
from runs.models import Run
from runs.services.progress import Report, report_progress

logger = logging.getLogger(__name__)

T = TypeVar("T")
EVERY_SECONDS = 5.0
#: What the columns of a run hold.
LONGEST_TEXT, LONGEST_NAME = 2000, 128


class Host(Protocol):
    """The executor, as far as this needs it."""

    def report(self, **known: Any) -> None:
        """Note what is known about the run so far."""

    def persist_report(self, job: Callable[[Report], T]) -> T:
        """Do the job with what was reported since the last time, or raise the interruption."""


class ModelCalls(BaseCallbackHandler):
    """Hears of every model call inside the graph, whoever makes it, and adds up what it used."""

    run_inline = True
    #: What nodes do is not heard: each of them would be told, at its beginning and its end.
    ignore_chain = True

    def __init__(self, run: Run, host: Host) -> None:
        self._run, self._host = run, host
        self._usage = Usage(run.usage)
        #: call -> (model, caller), as far as they are known when it begins
        self._begun: dict[UUID, tuple[str, str]] = {}
        self._stored_at = time.monotonic()

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, metadata: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """A call of a chat model begins."""
        self._begin(run_id, metadata or {})

    def on_llm_start(
        self, serialized: Any, prompts: Any, *, run_id: UUID, metadata: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """A call of another model begins."""
        self._begin(run_id, metadata or {})

    def _begin(self, call: UUID, about: Mapping[str, Any]) -> None:
        place = about.get("langgraph_checkpoint_ns") or ""
        self._begun[call] = (str(about.get("ls_model_name") or ""), recast_checkpoint_ns(place))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A call that fails uses nothing that anybody knows of."""
        self._begun.pop(run_id, None)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """A call has ended."""
        model, caller = self._begun.pop(run_id, ("", ""))
        answers = [getattr(one, "message", None) for several in response.generations for one in several]
        messages = [one for one in answers if isinstance(one, AIMessage)]
        named = next((found for one in messages if (found := _model_of(one))), model)
        used = [one.usage_metadata for one in messages if one.usage_metadata]
        totals = self._usage.add(
            input_tokens=sum(_amount(one["input_tokens"]) for one in used),
            output_tokens=sum(_amount(one["output_tokens"]) for one in used),
            calls=1,
            model=named[:LONGEST_NAME],
            caller=caller,
        )
        self._host.report(usage=totals, model_name=_most_used(totals.get("by_model", {})))
        self._store_sometimes()

    def _store_sometimes(self) -> None:
        """A step that takes long shows what it has used so far."""
        if time.monotonic() - self._stored_at < EVERY_SECONDS:
            return
        self._stored_at, run = time.monotonic(), self._run
        scribe.submit(
            lambda: self._host.persist_report(
                lambda report: report_progress(run_id=run.pk, attempt=run.attempt, report=report)
            )
        )


class Messages:
    """What a run adds to the `messages` of the thread's state."""

    def __init__(self, before: Any) -> None:
        self._before = _messages(before)
        self._known = {one["id"] for one in self._before if one.get("id")}

    def report(self, values: Any) -> dict[str, Any]:
        """What the run's columns say of the state after a step; nothing if it has no messages of this run."""
        every = _messages(values)
        if all(one.get("id") for one in every):
            added = [one for one in every if one["id"] not in self._known]
        else:
            added = every[len(self._before) :]
        if not added:
            return {}
        humans = [text for one in added if _kind(one) in ("human", "user") and (text := _text(one))]
        answers = [text for one in added if _kind(one) in ("ai", "assistant") and (text := _text(one))]
        return {
            "message_count": len(added),
            "first_message": (humans or [_text(added[0])])[0][:LONGEST_TEXT],
            "last_message": (answers or [_text(added[-1])])[-1][:LONGEST_TEXT],
        }


def _model_of(message: AIMessage) -> str:
    about = message.response_metadata
    return str(about.get("model_name") or about.get("model") or "")


def _amount(number: Any) -> int:
    return max(int(number), 0)


def _most_used(by_model: Mapping[str, Mapping[str, int]]) -> str | None:
    return max(by_model, key=lambda name: (by_model[name]["total_tokens"], by_model[name]["calls"]), default=None)


def _messages(values: Any) -> list[Mapping[str, Any]]:
    found = values.get("messages") if isinstance(values, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _kind(message: Mapping[str, Any]) -> Any:
    return message.get("type") or message.get("role")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    parts = (one if isinstance(one, str) else one.get("text", "") if isinstance(one, Mapping) else "" for one in blocks)
    return "".join(part for part in parts if isinstance(part, str))
