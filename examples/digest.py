"""A generator: each `yield` is a durable step, so a digest that is stopped keeps the sections it has finished."""

import time
from collections.abc import Iterator
from typing import Any

from examples.sample import DOCUMENT
from examples.text import Section, best_sentences, document_of, split_sections
from runs.assistants import RunContext, assistant


@assistant(resumable=True, sample={"document": DOCUMENT, "sentences": 1, "pause": 1})
def digest(run: RunContext, input: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Digest a document section by section: the sentences of each section that matter most.

    Input: `document` (the text), `sentences` (how many of each section, default 2), `pause` (seconds to rest after
    each section, default 0: with a pause you can watch, interrupt and roll back).
    """
    sections = split_sections(document_of(input))
    digested = finished_before(run)
    run.model_name = "textrank"
    for section in sections[len(digested) :]:
        run.emit({"section": len(digested) + 1, "of": len(sections), "title": section.title})
        chosen = best_sentences(section.sentences, input.get("sentences", 2))
        report(run, section, chosen)
        digested = [*digested, {"title": section.title, "sentences": chosen}]
        yield {"digest": digested, "sections": len(sections), "digested_by": str(run.id)}
        time.sleep(input.get("pause", 0))


def finished_before(run: RunContext) -> list[dict[str, Any]]:
    """What an earlier attempt of this very run has finished. The thread may hold the digest of another run, too."""
    mine = run.state.get("digested_by") == str(run.id)
    return list(run.state["digest"]) if mine else []


def report(run: RunContext, section: Section, chosen: list[str]) -> None:
    """Tell the server what the section cost: here a token is a word."""
    read = sum(len(sentence.split()) for sentence in section.sentences)
    written = sum(len(sentence.split()) for sentence in chosen)
    run.usage(input_tokens=read, output_tokens=written, model="textrank", caller=section.title)
    run.messages(last=" ".join(chosen))
