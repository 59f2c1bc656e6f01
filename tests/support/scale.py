"""How much of the races a test session runs: all of them takes minutes, a share of them is in every session."""

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def rounds(full: int) -> int:
    """`full` times RUNYARD_TEST_SCALE (0.1 unless said otherwise), at least 1."""
    return max(1, round(full * float(os.environ.get("RUNYARD_TEST_SCALE", "0.1"))))


def share(cells: Sequence[T]) -> list[T]:
    """The same share of the cells of a matrix, spread over all of them."""
    wanted = rounds(len(cells))
    return [cells[number * len(cells) // wanted] for number in range(wanted)]
