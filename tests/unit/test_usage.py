"""What an assistant reports of its model calls."""

from typing import Any
from uuid import uuid4

import pytest

from runs.assistants import RunContext


class Side:
    """The executor: it keeps what is reported."""

    must_stop = False

    def __init__(self) -> None:
        self.reported: list[dict[str, Any]] = []

    def emit(self, data: Any) -> None:
        """Nobody watches."""

    def report(self, **known: Any) -> None:
        """Keep it."""
        self.reported.append(known)


def context_of(side: Side) -> RunContext:
    ids: dict[str, Any] = {"run_id": uuid4(), "thread_id": uuid4(), "attempt": 1}
    nothing: dict[str, Any] = {"kwargs": {}, "metadata": {}, "state": {}, "usage": {}, "model_name": None}
    return RunContext(side, **ids, **nothing)


def test_calls_add_up_and_are_broken_down_by_model() -> None:
    side = Side()
    context = context_of(side)
    context.usage(input_tokens=10, output_tokens=2, model="small")
    context.usage(input_tokens=5, calls=2, model="large")
    assert side.reported[-1]["usage"] == {
        "input_tokens": 15,
        "output_tokens": 2,
        "total_tokens": 17,
        "calls": 3,
        "by_model": {
            "small": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12, "calls": 1},
            "large": {"input_tokens": 5, "output_tokens": 0, "total_tokens": 5, "calls": 2},
        },
    }


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "calls"])
def test_a_negative_number_is_refused_and_changes_nothing(name: str) -> None:
    side = Side()
    context = context_of(side)
    negative: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match=f"{name} must not be negative, but is -1"):
        context.usage(**negative)
    assert side.reported == []
