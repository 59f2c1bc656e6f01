"""What was found a moment ago."""

import time

from runs.services.recent import Recent


def test_it_is_kept_for_so_long() -> None:
    recent: Recent[int] = Recent(2)
    recent.put("a", 1, time.monotonic() + 60)
    recent.put("b", 2, time.monotonic())
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, None)


def test_of_too_many_the_first_goes_and_what_is_put_again_comes_last() -> None:
    recent: Recent[int] = Recent(2)
    later = time.monotonic() + 60
    for name, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.put(name, value, later)
    assert [recent.get(name) for name in "abc"] == [3, None, 4]


def test_what_is_dropped_is_gone() -> None:
    recent: Recent[int] = Recent(2)
    recent.put("a", 1, time.monotonic() + 60)
    recent.drop("a")
    recent.drop("a")
    assert recent.get("a") is None
