"""`extract` of a thread search: single values out of a thread, named by paths like "values.messages[-1].content"."""

import re
from typing import Any

from rest_framework import serializers

MAX_PATHS = 10
_MAX_LENGTH = 512
_ROOTS = frozenset({"metadata", "values", "config", "interrupts", "error", "status", "thread_id"})
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]")

Path = list[str | int]


def parse_path(text: Any) -> Path:
    """Return the steps of a path: a name for a member, a number for an item. Raises ValidationError."""
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        raise serializers.ValidationError("Must be a path like 'metadata.name' or 'values.messages[-1]'.")
    steps: Path = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise serializers.ValidationError(f"{text!r} breaks off at character {position + 1}.")
        steps.append(match[1] if match[1] is not None else int(match[2]))
        position = match.end()
    if not steps or steps[0] not in _ROOTS:
        raise serializers.ValidationError(f"{text!r} must begin with one of: {', '.join(sorted(_ROOTS))}.")
    return steps


def follow(path: Path, value: Any) -> Any:
    """Return what the path leads to, or None if there is nothing."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value
