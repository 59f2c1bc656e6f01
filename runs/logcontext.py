"""What every log line says besides its message: the request, thread, run and attempt that it belongs to.

Two formats for settings.LOGGING: text for people, JSON for machines.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

NAMES = ("request", "thread", "run", "attempt", "trace")

#: A dictionary that all tasks and threads of one request share, so that what an inner one learns an outer one logs.
_context: ContextVar[dict[str, Any] | None] = ContextVar("runs_log_context", default=None)
#: What a pool child executes: one attempt at a time, in whatever threads the assistant has started.
_process: dict[str, Any] = {}


class LogContext:
    """Lines of the block, and of all that it starts, say this; and what `bind` adds."""

    __slots__ = ("_known", "_token")

    def __init__(self, **known: Any) -> None:
        self._known = known

    def __enter__(self) -> None:
        self._token = _context.set(self._known)

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)


def bind(**known: Any) -> None:
    """Add to the context of this request, if there is one."""
    if (context := _context.get()) is not None:
        context.update(known)


@contextmanager
def process_context(**known: Any) -> Iterator[None]:
    """Lines of this process say this for the length of the block, in all of its threads."""
    _process.update(known)
    try:
        yield
    finally:
        _process.clear()


def bind_process(**known: Any) -> None:
    """Add to the context of this process, within `process_context`."""
    _process.update(known)


def current() -> dict[str, Any]:
    """What a line that is logged here says."""
    return {**_process, **(_context.get() or {})}


class ContextFilter(logging.Filter):
    """Give each record what is known where it is logged. On a handler, so that it sees the records of all loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        if not hasattr(record, "context"):
            known = {**_of_message(record), **current()}
            record.context = {name: value for name, value in known.items() if value not in (None, "")}
        return True


def _of_message(record: logging.LogRecord) -> dict[str, Any]:
    """A worker's main process logs messages that come and go, and names their task, whose id is the run's."""
    data = getattr(record, "data", None)
    return {"run": data["id"]} if isinstance(data, dict) and "id" in data else {}


class TextFormatter(logging.Formatter):
    """One line for people; the context comes last."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Append the context, before a traceback."""
        context = "".join(f" {name}={value}" for name, value in getattr(record, "context", {}).items())
        return super().formatMessage(record) + context


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the context, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Whatever a message is made of, the line is one line of ASCII JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: str(value) for name, value in getattr(record, "context", {}).items()},
            "process": record.process,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line)
