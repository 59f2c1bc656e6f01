"""Places, cursors, and which frame may follow which."""

import json

import pytest

from runs.streaming.frames import END, Cursor, Frame, From, Place, before, follows, parse_cursor


def frame(attempt: int, number: int) -> Frame:
    """A frame at this place."""
    return Frame(Place(attempt, number), "custom", "null")


def end(attempt: int, last: int | None) -> Frame:
    """The end marker, whose writer knew the number of the last frame, or not."""
    return Frame(Place(attempt, END), "end", json.dumps({"error": None, "last": last}))


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        (None, From.START),
        ("-1", From.START),
        ("0", From.START),
        ("0-0", From.START),
        ("-", From.START),
        ("1-0", Place(1, 0)),
        (" 12-345 ", Place(12, 345)),
        (f"3-{END}", Place(3, END)),
        ("", From.TAIL),
        ("1", From.TAIL),
        ("1-", From.TAIL),
        ("-5", From.TAIL),
        ("1-2-3", From.TAIL),
        ("a-b", From.TAIL),
        ("1.5-2", From.TAIL),
        ("$", From.TAIL),
        ("\u0661-\u0662", From.TAIL),
        (f"1-{END + 1}", From.TAIL),
        ("99999999999-1", From.TAIL),
        ("1795351468444-0", From.TAIL),
    ],
)
def test_a_cursor_is_a_place_or_the_start_and_what_cannot_be_read_is_the_live_tail(
    text: str | None, cursor: Cursor
) -> None:
    assert parse_cursor(text) == cursor


@pytest.mark.parametrize(
    ("last", "next_one", "answer"),
    [
        (None, (1, 0), True),
        (None, (1, 1), False),
        (None, (2, 0), False),
        ((1, 0), (1, 1), True),
        ((1, 0), (1, 2), False),
        ((1, 5), (1, 5), False),
        ((1, 5), (1, 4), False),
        ((1, 5), (2, 0), True),
        ((1, 5), (2, 1), False),
        ((1, 5), (3, 0), False),
        ((2, 5), (1, 0), False),
    ],
)
def test_what_follows_is_the_next_number_or_the_beginning_of_the_next_attempt(
    last: tuple[int, int] | None, next_one: tuple[int, int], answer: bool
) -> None:
    assert follows(None if last is None else Place(*last), frame(*next_one)) is answer


@pytest.mark.parametrize(
    ("last", "attempt", "number", "answer"),
    [
        ((1, 9), 1, 9, True),
        ((1, 8), 1, 9, False),
        ((1, 9), 2, 4, False),
        ((2, 4), 2, 4, True),
        (None, 1, 0, False),
        ((1, END - 1), 1, 9, True),
    ],
)
def test_an_end_that_names_its_last_frame_follows_only_that(
    last: tuple[int, int] | None, attempt: int, number: int, answer: bool
) -> None:
    assert follows(None if last is None else Place(*last), end(attempt, number)) is answer


def test_an_end_that_names_none_follows_what_its_reader_has_seen_itself() -> None:
    assert follows(Place(1, 3), end(1, None))
    assert follows(None, end(0, None))


@pytest.mark.parametrize(
    ("place", "former"),
    [
        (Place(1, 0), None),
        (Place(1, 1), Place(1, 0)),
        (Place(2, 0), Place(1, END - 1)),
        (Place(1, END), Place(1, END - 1)),
        (Place(0, END), Place(0, END - 1)),
    ],
)
def test_a_frame_follows_the_place_before_it(place: Place, former: Place | None) -> None:
    one = end(place.attempt, 7) if place.is_end else frame(place.attempt, place.number)
    assert before(one) == former
    assert follows(former, one)


def test_places_are_ordered_as_redis_orders_them() -> None:
    assert Place(1, END) < Place(2, 0)
    assert Place(1, 9) < Place(1, 10) < Place(1, END)
    assert str(Place(1, END)) == "1-18446744073709551615"
