"""What PostgreSQL's jsonb holds passes, and what it does not is refused with its place."""

import json
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from runs.errors import InvalidJSON
from runs.jsonvalues import MAX_DEPTH, MAX_INTEGER, check_storable
from tests.properties.profile import search

REFUSED: list[tuple[Any, str]] = [
    ("a\x00b", "$: text must not contain the NUL character (\\u0000)"),
    ({"a": ["\x00"]}, "$.a[0]: text must not contain the NUL character (\\u0000)"),
    ({"\x00": 1}, "$ (key): text must not contain the NUL character (\\u0000)"),
    ({"a": "\ud800"}, "$.a: text must not contain half of a surrogate pair"),
    ([float("nan")], "$[0]: NaN and infinity are not JSON"),
    ([0, float("-inf")], "$[1]: NaN and infinity are not JSON"),
    ({"n": MAX_INTEGER + 1}, "$.n: integers must fit in 64 bits; send larger ones as text"),
    ({1: "a"}, "$: object keys must be text, not int"),
    ({"a": {"b": b"x"}}, "$.a.b: bytes is not a JSON value"),
    ({"a": {1, 2}}, "$.a: set is not a JSON value"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_stored_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(InvalidJSON) as refused:
        check_storable(value)
    assert refused.value.message == message


def test_the_place_begins_with_the_name_of_the_argument() -> None:
    with pytest.raises(InvalidJSON, match=r"^kwargs\.input: "):
        check_storable({"input": float("inf")}, "kwargs")


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_is_bounded_and_a_very_deep_value_does_no_harm() -> None:
    check_storable(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(InvalidJSON, match="nested deeper than 100 levels"):
            check_storable(nested(depth))


@pytest.mark.parametrize("value", [None, True, 0, -MAX_INTEGER, 1e300, "", "ä\U0001f600", [], {}, {"": [None]}, (1, 2)])
def test_the_values_of_json_pass(value: Any) -> None:
    check_storable(value)


#: jsonb keeps decimals: a float so large that it is whole comes back as an integer with the same digits.
FLOATS = st.floats(-1e15, 1e15) | st.sampled_from([float("nan"), float("inf")])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(st.characters(codec=None)),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=8,
)


@pytest.mark.django_db
def test_whatever_passes_is_stored_and_read_back_unchanged() -> None:
    @search(200, steps=1)
    @given(ANY_JSON)
    def check(value: Any) -> None:
        try:
            check_storable(value)
        except InvalidJSON:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::jsonb", [json.dumps(value)])
            assert json.loads(cursor.fetchone()[0]) == json.loads(json.dumps(value))

    check()
