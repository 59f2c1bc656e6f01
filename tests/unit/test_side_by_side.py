"""Every difference that the comparison with LangGraph's server expects is on the compatibility page, word by word."""

import re
from pathlib import Path

import pytest

from bench.side_by_side import __main__ as program
from bench.side_by_side.client import Answer, Server
from bench.side_by_side.expected import EXPECTED

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "langgraph-compatibility.md").read_text()
SECTION = PAGE.partition("## Answers, side by side")[2].partition("\n## ")[0]


def flat(text: str) -> str:
    """On one line, wherever the page breaks it."""
    return re.sub(r"\s+", " ", text).strip()


POINTS = [flat(point) for point in re.split(r"^- ", SECTION, flags=re.MULTILINE)[1:]]


@pytest.mark.parametrize("words", sorted(set(EXPECTED.values())))
def test_what_is_expected_is_in_the_page(words: str) -> None:
    assert len(words.split()) >= 4
    assert flat(words) in flat(PAGE)


@pytest.mark.parametrize("point", POINTS)
def test_what_the_page_says_of_answers_is_expected(point: str) -> None:
    """Each sentence of a point has a difference that shows it."""
    for sentence in re.split(r"(?<=[.]) ", point):
        assert any(shares(sentence, words) for words in EXPECTED.values()), sentence


def shares(sentence: str, words: str) -> bool:
    return flat(words) in sentence or sentence in flat(words)


def test_there_are_points() -> None:
    assert len(POINTS) >= 7


@pytest.mark.parametrize(
    ("expected", "status", "said"),
    [
        ({}, 1, "? run: get | status: 200 / 404"),
        ({r"run: get \| status: 200 / 404": "on purpose"}, 0, "1 requests; 0 unexplained"),
        ({r"run: get \| status": "on purpose", "never": "gone"}, 1, "! nothing differs any more as expected: never"),
    ],
    ids=["not expected", "expected", "expected and gone"],
)
def test_the_program_fails_for_whatever_is_not_as_expected(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    expected: dict[str, str],
    status: int,
    said: str,
) -> None:
    monkeypatch.setattr(program, "EXPECTED", expected)
    theirs, ours = (Server("", said={"run: get": Answer(number, {})}) for number in (200, 404))

    assert program.report(theirs, ours, everything=False) == status
    assert said in capsys.readouterr().out
