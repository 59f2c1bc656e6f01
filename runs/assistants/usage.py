"""What model calls used, added up."""

import operator
import threading
from collections.abc import Mapping
from typing import Any


class Usage:
    """Totals of a run; they only grow. May be added to from several threads."""

    def __init__(self, so_far: Mapping[str, Any]) -> None:
        self._total: dict[str, Any] = dict(so_far)
        self._lock = threading.Lock()

    def add(self, *, input_tokens: int, output_tokens: int, calls: int, model: str, caller: str) -> dict[str, Any]:
        """Add what calls used and return the totals; `model` and `caller` break them down further.

        Raises ValueError if a number is negative.
        """
        for name, number in (("input_tokens", input_tokens), ("output_tokens", output_tokens), ("calls", calls)):
            if operator.index(number) < 0:
                raise ValueError(f"{name} must not be negative, but is {number}")
        used = {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
            "calls": calls,
        }
        with self._lock:
            self._total = _sum(self._total, used)
            for breakdown, name in (("by_model", model), ("by_caller", caller)):
                if name:
                    parts = dict(self._total.get(breakdown, {}))
                    parts[name] = _sum(parts.get(name, {}), used)
                    self._total[breakdown] = parts
            return dict(self._total)


def _sum(total: Mapping[str, Any], used: Mapping[str, int]) -> dict[str, Any]:
    return {**total, **{name: int(total.get(name, 0)) + amount for name, amount in used.items()}}
