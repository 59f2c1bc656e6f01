"""What a graph holds as JSON that PostgreSQL takes."""

from collections import OrderedDict, UserDict, namedtuple
from enum import StrEnum
from typing import Any

import pytest

from runs.execution.graphs.jsonable import jsonable

Point = namedtuple("Point", "x y")


class Named(str):
    """A text that is more than that."""


class Colour(StrEnum):
    """The same, of the standard library."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("\x00 is no text", "\\x00 is no text"),
        ("caf\u00e9", "caf\u00e9"),
        ("\ud800", "\\ud800"),
        (OrderedDict(b=1, a=[None]), {"b": 1, "a": [None]}),
        (UserDict({1: ("x", {"y"})}), {"1": ["x", ["y"]]}),
        ([Point(1, "\x00")], [{"x": 1, "y": "\\x00"}]),
        ({"\x00": [[]]}, {"\\x00": [[]]}),
    ],
)
def test_every_container_and_text(value: Any, shown: Any) -> None:
    assert jsonable(value) == shown


@pytest.mark.parametrize("value", [Named("a"), Colour.RED])
def test_a_text_is_nothing_but_a_text(value: str) -> None:
    assert type(jsonable(value)) is str
