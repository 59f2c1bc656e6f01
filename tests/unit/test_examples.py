"""The example assistants do what their docstrings say, exactly."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from examples.demo import read_document
from examples.digest import digest
from examples.keywords import keywords
from examples.passages import passages
from examples.text import WORDS_IN_A_PART, best_sentences, frequent_words, rank_sentences, split_sections
from runs.assistants import RunContext

RUN_ID = UUID("00000000-0000-7000-8000-000000000001")
DOCUMENT = """# Tides

Tides are caused by the moon. The moon pulls the water of the sea. Fishermen like soup!

## Harbours

What ships want:

- A harbour needs deep water.
- Ships wait in the harbour for deep water.

```bash
# not a heading
make harbour
```

| a table | is left out |
|---------|-------------|
"""


class Server:
    """The side of the executor that a context talks to; remembers what it was told."""

    must_stop = False

    def __init__(self) -> None:
        self.emitted: list[Any] = []
        self.reported: dict[str, Any] = {}

    def emit(self, data: Any) -> None:
        self.emitted.append(data)

    def report(self, **known: Any) -> None:
        self.reported |= {name: value for name, value in known.items() if value is not None}


@pytest.fixture
def server() -> Server:
    return Server()


def run_on(server: Server, state: dict[str, Any] | None = None, attempt: int = 1) -> RunContext:
    return RunContext(
        server,
        run_id=RUN_ID,
        thread_id=UUID(int=2),
        attempt=attempt,
        kwargs={},
        metadata={},
        state=state or {},
        usage={},
        model_name=None,
    )


def test_a_document_is_split_at_its_headings_without_code_tables_and_lead_ins() -> None:
    sections = split_sections(DOCUMENT)

    assert [(section.title, len(section.sentences)) for section in sections] == [("Tides", 3), ("Harbours", 2)]
    assert sections[0].sentences == (
        "Tides are caused by the moon.",
        "The moon pulls the water of the sea.",
        "Fishermen like soup!",
    )
    assert sections[1].sentences == ("A harbour needs deep water.", "Ships wait in the harbour for deep water.")


def test_a_text_without_headings_comes_in_numbered_parts() -> None:
    paragraph = "The harbour was quiet that morning. " * 250  # 750 words that count: two paragraphs fill a part
    sections = split_sections("\n\n".join([paragraph] * 4))

    assert WORDS_IN_A_PART == 1500
    assert [section.title for section in sections] == ["Part 1", "Part 2"]
    assert [len(section.sentences) for section in sections] == [750, 250]


def test_markup_is_not_part_of_a_sentence() -> None:
    text = (
        '<!-- hidden -->\nSee **the** [pilot](pilots.md) at `dawn`, see p. 4. "Late" is late.\n1. First things first.'
    )

    (section,) = split_sections(text)

    assert section.sentences == ("See the pilot at dawn, see p. 4.", '"Late" is late.', "First things first.")


def test_a_sentence_that_shares_no_word_ranks_last() -> None:
    scores = rank_sentences(["The moon pulls the sea.", "The sea follows the moon.", "Fishermen like soup."])

    assert scores[0] == scores[1]
    assert scores[2] == pytest.approx(0.15)
    assert scores[0] == pytest.approx(1.0)


def test_the_best_sentences_keep_the_order_of_the_text() -> None:
    sentences = ["Soup is hot.", "The moon pulls the sea.", "Bread is cold.", "The sea follows the moon."]

    assert best_sentences(sentences, 2) == ["The moon pulls the sea.", "The sea follows the moon."]
    assert best_sentences(sentences, 9) == sentences
    assert best_sentences([], 2) == []


def test_equally_frequent_words_come_in_the_order_of_the_alphabet() -> None:
    assert frequent_words("Sea moon sea, moon! Tide and the tide; ship", 3) == [("moon", 2), ("sea", 2), ("tide", 2)]


def test_digest_yields_a_durable_step_for_each_section(server: Server) -> None:
    steps = list(digest(run_on(server), {"document": DOCUMENT, "sentences": 1}))

    tides = {"title": "Tides", "sentences": ["Tides are caused by the moon."]}
    harbours = {"title": "Harbours", "sentences": ["A harbour needs deep water."]}
    assert steps == [
        {"digest": [tides], "sections": 2, "digested_by": str(RUN_ID)},
        {"digest": [tides, harbours], "sections": 2, "digested_by": str(RUN_ID)},
    ]
    assert server.emitted == [
        {"section": 1, "of": 2, "title": "Tides"},
        {"section": 2, "of": 2, "title": "Harbours"},
    ]


def test_digest_reports_what_it_used(server: Server) -> None:
    list(digest(run_on(server), {"document": DOCUMENT, "sentences": 1}))

    assert server.reported["model_name"] == "textrank"
    assert server.reported["last_message"] == "A harbour needs deep water."
    usage = server.reported["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["calls"]) == (30, 11, 2)
    assert usage["by_caller"]["Tides"]["input_tokens"] == 17
    assert usage["by_model"]["textrank"]["total_tokens"] == 41


def test_a_later_attempt_of_digest_goes_on_where_the_earlier_one_stopped(server: Server) -> None:
    first, last = digest(run_on(server), {"document": DOCUMENT})

    (step,) = digest(run_on(server, state=first, attempt=2), {"document": DOCUMENT})

    assert step == last


def test_digest_does_not_mistake_the_digest_of_another_run_for_its_own(server: Server) -> None:
    steps = list(digest(run_on(server), {"document": DOCUMENT}))
    of_another_run = {**steps[-1], "digested_by": "another run"}

    assert list(digest(run_on(server, state=of_another_run, attempt=2), {"document": DOCUMENT})) == steps


def test_digest_rests_after_each_section(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("examples.digest.time.sleep", rests.append)

    list(digest(run_on(server), {"document": DOCUMENT, "pause": 1.5}))

    assert rests == [1.5, 1.5]


def test_keywords_counts_what_a_document_is_about(server: Server) -> None:
    assert keywords(run_on(server), {"document": DOCUMENT, "count": 3}) == {
        "keywords": [{"word": "water", "times": 3}, {"word": "deep", "times": 2}, {"word": "harbour", "times": 2}],
        "statistics": {"words": 30, "distinct_words": 13, "sentences": 5, "minutes_to_read": 0.1},
    }
    assert server.reported == {"message_count": 1, "last_message": "water, deep, harbour"}


def test_passages_finds_the_sentence_that_comes_closest_to_a_question(server: Server) -> None:
    asked = {"document": DOCUMENT, "question": "What pulls the sea?", "count": 1}

    answer = asyncio.run(passages(run_on(server), asked))

    assert answer == {
        "question": "What pulls the sea?",
        "passages": [{"section": "Tides", "sentence": "The moon pulls the water of the sea.", "score": 0.847}],
    }
    assert server.reported["first_message"] == "What pulls the sea?"
    assert server.reported["last_message"] == "The moon pulls the water of the sea."


def test_passages_says_so_when_nothing_comes_close(server: Server) -> None:
    answer = asyncio.run(passages(run_on(server), {"document": DOCUMENT, "question": "Quantum?"}))

    assert answer == {"question": "Quantum?", "passages": []}
    assert server.reported["last_message"] == "Nothing in the document comes close."


@pytest.mark.parametrize("given", [None, {}, {"document": ""}, {"document": " \n"}, {"document": 7}, "text"])
def test_a_missing_document_is_refused_with_what_to_send(server: Server, given: Any) -> None:
    with pytest.raises(ValueError, match=r'Send the text to read as input: \{"document": "\.\.\."\}\.'):
        keywords(run_on(server), given)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"picture\.png is no text in UTF-8"):
        read_document(binary)
