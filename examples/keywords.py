"""A plain function: what it returns is merged into the thread's state, in one step."""

from typing import Any

from examples.sample import DOCUMENT
from examples.text import document_of, frequent_words, split_sections, words
from runs.assistants import RunContext, assistant

WORDS_A_MINUTE = 230


@assistant(sample={"document": DOCUMENT, "count": 5})
def keywords(run: RunContext, input: dict[str, Any]) -> dict[str, Any]:
    """Count what a document is about: its most frequent words, its length, and how long it takes to read.

    Input: `document` (the text), `count` (how many keywords, default 8).
    """
    sentences = [sentence for section in split_sections(document_of(input)) for sentence in section.sentences]
    text = " ".join(sentences)
    length = len(text.split())
    found = frequent_words(text, input.get("count", 8))
    run.messages(count=1, last=", ".join(word for word, _ in found))
    return {
        "keywords": [{"word": word, "times": times} for word, times in found],
        "statistics": {
            "words": length,
            "distinct_words": len(set(words(text))),
            "sentences": len(sentences),
            "minutes_to_read": round(length / WORDS_A_MINUTE, 1),
        },
    }
