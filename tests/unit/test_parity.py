"""The parity page names every behaviour, gap and scenario once, and each row says which test shows it."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "run-manager-parity.md"
ROWS = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z]+\d", line)]
#: Kind -> the numbers that need a row, and no others have one.
NUMBERS = {
    "S": range(1, 55),
    "G": range(1, 15),
    "RM": range(1, 70),
    "D": range(37, 44),
    "SB": range(1, 49),
    "WD": range(1, 12),
    "MW": range(56, 62),
    "E": (2, 4, 7),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_every_number_has_its_row(kind: str) -> None:
    named = [name for row in ROWS for name in row[0].split(", ") if re.fullmatch(rf"{kind}\d+", name)]
    assert sorted(named) == sorted(f"{kind}{number}" for number in NUMBERS[kind])


def test_no_row_is_of_another_kind() -> None:
    kinds = {re.sub(r"\d+$", "", name) for row in ROWS for name in row[0].split(", ")}
    assert kinds == set(NUMBERS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_every_row_names_a_test_unless_it_has_no_meaning(row: list[str]) -> None:
    assert row[1] == "M" or re.search(r"`tests/[\w/]+\.py::test_\w+`", row[-1])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_every_row_says_what_happens_here(row: list[str]) -> None:
    assert len(row) == 5
    assert "streams" not in row[-1].replace("`", "").split(" ")
    assert all(cell.strip() for cell in row)
