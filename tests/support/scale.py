"""How much of the races a test session runs: all of them takes minutes, a share of them is in every session."""

import os


def rounds(full: int) -> int:
    """`full` times RUNYARD_TEST_SCALE (0.1 unless said otherwise), at least 1."""
    return max(1, round(full * float(os.environ.get("RUNYARD_TEST_SCALE", "0.1"))))
