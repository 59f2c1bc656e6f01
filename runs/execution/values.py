"""What comes out of an assistant, as something that can be stored."""

import traceback
from typing import Any

from runs.jsonvalues import check_storable


def final_values(value: Any) -> dict[str, Any] | None:
    """What an assistant returned: None, or a dict that can be stored. Raises TypeError, InvalidJSON."""
    if value is None:
        return None
    delta = as_mapping(value, "return")
    check_storable(delta, "returned value")
    return delta


def as_mapping(value: Any, verb: str) -> dict[str, Any]:
    """Return the value if it is a dict, or raise TypeError that says what an assistant must do."""
    if not isinstance(value, dict):
        raise TypeError(f"An assistant must {verb} a dict that is merged into the state, not {type(value).__name__}.")
    return value


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as a run's error: {"type", "message", "traceback"}, storable whatever it contains."""
    trace = "".join(traceback.format_exception(error))[-20_000:]
    described = {"type": type(error).__name__, "message": _text_of(error), "traceback": trace}
    return {name: _storable(text) for name, text in described.items()}


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:10_000]
    except Exception as worse:
        return f"(its text cannot be read: {type(worse).__name__})"


def _storable(text: str) -> str:
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
