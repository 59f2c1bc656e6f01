"""A coroutine: while it waits it costs nothing, and a cancel reaches it at the next `await`."""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from examples.sample import DOCUMENT
from examples.text import document_of, split_sections, words
from runs.assistants import RunContext, assistant


@assistant(timeout_seconds=120, sample={"document": DOCUMENT, "question": "How high can a tide be?", "count": 2})
async def passages(run: RunContext, input: dict[str, Any]) -> dict[str, Any]:
    """Find the sentences of a document that come closest to a question.

    Input: `document` (the text), `question`, `count` (how many sentences, default 3), `pause` (seconds to rest after
    each section, default 0). A word counts the more, the fewer sentences have it (TF-IDF).
    """
    question = str(input.get("question", ""))
    run.messages(count=2, first=question)
    sections = split_sections(document_of(input))
    weights = weigh([set(words(sentence)) for section in sections for sentence in section.sentences])
    found: list[dict[str, Any]] = []
    for section in sections:
        for sentence in section.sentences:
            score = closeness(words(question), words(sentence), weights)
            found.append({"section": section.title, "sentence": sentence, "score": round(score, 3)})
        run.emit({"section": section.title, "sentences": len(section.sentences)})
        await asyncio.sleep(input.get("pause", 0))
    best = sorted((passage for passage in found if passage["score"] > 0), key=lambda passage: -passage["score"])
    answer = best[: input.get("count", 3)]
    run.messages(last=answer[0]["sentence"] if answer else "Nothing in the document comes close.")
    return {"question": question, "passages": answer}


def weigh(bags: list[set[str]]) -> dict[str, float]:
    """How much each word says: a word of every sentence says little."""
    having = Counter(word for bag in bags for word in bag)
    return {word: math.log(1 + len(bags) / count) for word, count in having.items()}


def closeness(asked: list[str], said: list[str], weights: Mapping[str, float]) -> float:
    """The cosine of the angle between two texts, each a vector of weighted words: 0 nothing in common, 1 the same."""
    one, other = (
        {word: times * weights.get(word, 0.0) for word, times in Counter(text).items()} for text in (asked, said)
    )
    lengths = math.hypot(*one.values()) * math.hypot(*other.values())
    return sum(weight * other.get(word, 0.0) for word, weight in one.items()) / lengths if lengths else 0.0
