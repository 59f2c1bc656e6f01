"""JSON that PostgreSQL can hold: what cannot be stored is refused with the place where it is."""

import math
from typing import Any

from runs.errors import InvalidJSON

MAX_DEPTH = 100
MAX_INTEGER = 2**63 - 1


def check_storable(value: Any, place: str = "$") -> None:
    """Return if `value` can be stored as jsonb, or raise InvalidJSON that names the place of what cannot.

    Refused: text with NUL or a lone surrogate, NaN and infinities, integers beyond 64 bits, nesting deeper than
    MAX_DEPTH, and Python values that JSON does not have. Iterative: a deep value cannot exhaust the stack.
    """
    stack: list[tuple[Any, str, int]] = [(value, place, 0)]
    while stack:
        item, where, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise InvalidJSON(f"{place}: nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, dict):
            for key, child in item.items():
                _check_key(key, where)
                if child is not None or depth == MAX_DEPTH:  # null is most of what a run is accepted with
                    stack.append((child, f"{where}.{key}", depth + 1))
        elif isinstance(item, list | tuple):
            stack.extend((child, f"{where}[{index}]", depth + 1) for index, child in enumerate(item))
        else:
            _check_scalar(item, where)


def _check_key(key: Any, where: str) -> None:
    if not isinstance(key, str):
        raise InvalidJSON(f"{where}: object keys must be text, not {type(key).__name__}")
    _check_text(key, where, " (key)")


def _check_scalar(item: Any, where: str) -> None:
    if item is None or isinstance(item, bool):
        return
    if isinstance(item, str):
        _check_text(item, where)
    elif isinstance(item, int):
        if abs(item) > MAX_INTEGER:
            raise InvalidJSON(f"{where}: integers must fit in 64 bits; send larger ones as text")
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise InvalidJSON(f"{where}: NaN and infinity are not JSON")
    else:
        raise InvalidJSON(f"{where}: {type(item).__name__} is not a JSON value")


def _check_text(text: str, where: str, what: str = "") -> None:
    if "\x00" in text:
        raise InvalidJSON(f"{where}{what}: text must not contain the NUL character (\\u0000)")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidJSON(f"{where}{what}: text must not contain half of a surrogate pair")
