"""The parity page names every behaviour, gap and scenario once, and each row says which test shows it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "run-manager-parity.md"
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
    "E": (2, 4, 7, 8),
    "RB": range(1, 86),
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


@cache
def functions_in(path: str) -> set[str]:
    """The tests of a module; none if there is no such module."""
    file = ROOT / path
    functions = ast.parse(file.read_text()).body if file.is_file() else []
    return {one.name for one in functions if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


def missing(row: list[str]) -> list[str]:
    """What the row names in its last cell and is no test."""
    named = re.findall(r"`([^`]+)`", row[-1])
    return [
        name
        for name in named
        if not name.partition("::")[2] or name.partition("::")[2] not in functions_in(name.partition("::")[0])
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_every_test_that_a_row_names_exists(row: list[str]) -> None:
    assert missing(row) == []


def test_a_test_that_does_not_exist_is_missed() -> None:
    """Not only whole names: one that begins or ends like a test is none."""
    here = "tests/unit/test_parity.py"
    named = ["test_no_row_is_of_another_kind", "test_no_row_is_of_another", "row_is_of_another_kind"]
    others = [f"{here}::{name}" for name in named[1:]] + ["tests/unit/nowhere.py::test_x", here]
    assert missing(["", "".join(f"`{name}`" for name in [f"{here}::{named[0]}", *others])]) == others


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_every_row_says_what_happens_here(row: list[str]) -> None:
    assert len(row) == 5
    assert "streams" not in row[-1].replace("`", "").split(" ")
    assert all(cell.strip() for cell in row)
