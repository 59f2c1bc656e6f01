"""Reading a text: its sections, its sentences, its words, and which of them matter. Standard library only."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

WORDS_IN_A_PART = 1500
_CODE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*")
_ITEM = re.compile(r"^(?:[-*+]|\d+[.)])\s+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\W_\d]|[\"'(])")
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON_WORDS = """
about after again all also and any are because been before being both but can could did does done each else ever every
for from had has have her here him his how into its itself just like made many may more most much must nor not now off
one only onto other our out over own per she should since some such than that the their them then there these they this
those through too under until upon very was were what when where which while who whom whose why will with within
without would yet you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True)
class Section:
    """A part of a document: its title and its sentences, in order."""

    title: str
    sentences: tuple[str, ...]


def document_of(given: Any) -> str:
    """Return the text that an assistant was asked to read, or raise ValueError saying what to send."""
    document = given.get("document") if isinstance(given, dict) else None
    if not isinstance(document, str) or not document.strip():
        raise ValueError('Send the text to read as input: {"document": "..."}.')
    return document


def split_sections(document: str) -> list[Section]:
    """Split a text at its Markdown headings. Long sections come in parts; code, tables and lead-ins are left out."""
    sections: list[Section] = []
    title, sentences = "", list[str]()
    for kind, text in [*_blocks(document), ("heading", "")]:
        if kind == "text":
            sentences += [sentence for sentence in _SENTENCE_END.split(text) if not sentence.endswith(":")]
        if sentences and (kind == "heading" or len(words(" ".join(sentences))) > WORDS_IN_A_PART):
            sections.append(Section(title or f"Part {len(sections) + 1}", tuple(sentences)))
            sentences = []
        title = text if kind == "heading" else title
    return sections


def words(text: str) -> list[str]:
    """The words that carry meaning, in lower case."""
    return [word for word in _WORD.findall(text.lower()) if word not in _COMMON]


def rank_sentences(sentences: Sequence[str], rounds: int = 20, damping: float = 0.85) -> list[float]:
    """Score sentences as TextRank does: a sentence matters if sentences that matter share its words.

    Each round every sentence hands its score on to the others, in proportion to the words they have in common.
    """
    bags = [set(words(sentence)) for sentence in sentences]
    shared = [[_overlap(a, b) if a is not b else 0.0 for b in bags] for a in bags]
    given = [sum(row) or 1.0 for row in shared]
    scores = [1.0] * len(bags)
    for _ in range(rounds):
        parts = [score / total for score, total in zip(scores, given, strict=True)]
        scores = [1 - damping + damping * sum(map(float.__mul__, row, parts)) for row in shared]
    return scores


def best_sentences(sentences: Sequence[str], count: int) -> list[str]:
    """The `count` sentences with the highest rank, in the order of the text."""
    scores = rank_sentences(sentences)
    best = sorted(range(len(sentences)), key=lambda index: (-scores[index], index))[:count]
    return [sentences[index] for index in sorted(best)]


def frequent_words(text: str, count: int) -> list[tuple[str, int]]:
    """The `count` most frequent words that carry meaning; equally frequent ones in the order of the alphabet."""
    return sorted(Counter(words(text)).items(), key=lambda item: (-item[1], item[0]))[:count]


def _overlap(a: set[str], b: set[str]) -> float:
    """How much two sentences share; divided by their lengths, or the longest sentence would always win."""
    return len(a & b) / math.log(1 + len(a) * len(b)) if a and b else 0.0


def _blocks(document: str) -> Iterator[tuple[str, str]]:
    """The headings and the paragraphs of a Markdown text, without its markup."""
    lines: list[str] = []
    for raw in [*_COMMENT.sub("", _CODE.sub("", document)).splitlines(), ""]:
        line = raw.strip()
        heading = _HEADING.fullmatch(line)
        starts_new = not line or heading or line.startswith("|") or _ITEM.match(line)
        if lines and starts_new:
            yield "text", _plain(" ".join(lines))
            lines = []
        if heading:
            yield "heading", _plain(heading[1])
        elif any(character.isalpha() for character in line) and not line.startswith("|"):
            lines.append(_ITEM.sub("", line, count=1))


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text).replace("**", "").replace("`", "").strip()
