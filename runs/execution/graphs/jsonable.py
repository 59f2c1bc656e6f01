"""What a graph holds, as JSON: for the API and for our own rows. LangGraph's rows have the thing itself."""

import dataclasses
import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel

_DEEPEST = 60


def jsonable(value: Any, depth: int = 0) -> Any:
    """Return the value as JSON that PostgreSQL can hold. What is no data is shown by its `repr`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth >= _DEEPEST:
        return _text(repr(value)[:1000])
    return _of_container(value, depth + 1)


def _of_container(value: Any, depth: int) -> Any:
    kind = type(value)  # asking an abstract class costs more than the rest
    if kind is dict or isinstance(value, Mapping):
        return {_key(name): jsonable(one, depth) for name, one in value.items()}
    if kind is not list and hasattr(value, "_asdict"):
        return jsonable(value._asdict(), depth)
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(one, depth) for one in value]
    return _of_object(value, depth)


def _of_object(value: Any, depth: int) -> Any:
    if isinstance(value, Interrupt):
        return {"value": jsonable(value.value, depth), "id": value.id, "response_schema": _schema(value, depth)}
    if isinstance(value, Send):
        return {"node": value.node, "arg": jsonable(value.arg, depth)}
    if isinstance(value, Command):
        return {f.name: jsonable(getattr(value, f.name), depth) for f in dataclasses.fields(value)}
    if isinstance(value, BaseMessage | PromptValue | BaseModel):
        return jsonable(value.model_dump(), depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name), depth) for f in dataclasses.fields(value)}
    return _of_scalar(value, depth)


def _of_scalar(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return jsonable(value.value, depth)
    for kind, convert in _SCALARS:
        if isinstance(value, kind):
            return convert(value)
    if hasattr(value, "tolist"):  # numpy
        return jsonable(value.tolist(), depth)
    return _text(repr(value))


_SCALARS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    ((bytes, bytearray, memoryview), lambda value: b64encode(bytes(value)).decode()),
    ((UUID, PurePath, Decimal), lambda value: _text(str(value))),
)


def _schema(interrupt: Any, depth: int) -> Any:
    schema = getattr(interrupt, "response_schema", None)
    return jsonable(schema, depth) if isinstance(schema, Mapping) else None


def _key(name: Any) -> str:
    return _text(name if isinstance(name, str) else str(name))


def _text(text: str) -> str:
    if type(text) is str and text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
