"""The parity page names every behaviour, gap and scenario once, and each row says what shows it."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "run-manager-parity.md"
ROWS = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines() if re.match(r"\| (S|G|RM)\d", line)]


@pytest.mark.parametrize(("kind", "last"), [("S", 54), ("G", 14), ("RM", 69)])
def test_every_number_has_its_row(kind: str, last: int) -> None:
    named = [name for row in ROWS for name in row[0].split(", ") if re.fullmatch(rf"{kind}\d+", name)]
    assert sorted(named) == sorted(f"{kind}{number}" for number in range(1, last + 1))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_every_row_names_a_test_unless_it_needs_streams_or_has_no_meaning(row: list[str]) -> None:
    shown_by = row[-1]
    without = "streams" in shown_by or row[1] == "M"
    assert without or re.search(r"`tests/[\w/]+\.py::test_\w+`", shown_by)
