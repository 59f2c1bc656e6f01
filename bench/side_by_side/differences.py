"""What differs between two answers, apart from ids and times, which differ always."""

import re
from collections.abc import Iterator
from typing import Any

from bench.side_by_side.client import Answer

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
#: What a line shows of a value.
_LONGEST = 160
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def differences(theirs: Answer, ours: Answer) -> Iterator[str]:
    """One line for each, with where it is."""
    yield from _of("status", theirs.status, ours.status)
    for name in sorted({*theirs.headers, *ours.headers}):
        yield from _of(f"header {name}", theirs.headers.get(name), ours.headers.get(name))
    if theirs.frames is not None and ours.frames is not None:
        yield from _of_frames(theirs.frames, ours.frames)
    elif (theirs.frames is None) == (ours.frames is None):
        yield from _of("body", theirs.body, ours.body)


def _of_frames(theirs: list[tuple[str, Any]], ours: list[tuple[str, Any]]) -> Iterator[str]:
    events = [[_plain(event) for event, _ in frames] for frames in (theirs, ours)]
    yield from _of("events", events[0], events[1])
    if events[0] == events[1][: len(events[0])]:
        for number, (their, our) in enumerate(zip(theirs, ours, strict=False)):
            yield from _of(f"frame {number} {their[0].partition('|')[0]}", their[1], our[1])


def _of(where: str, theirs: Any, ours: Any) -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        yield from _of_objects(where, theirs, ours)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (their, our) in enumerate(zip(theirs, ours, strict=True)):
            yield from _of(f"{where}[{number}]", their, our)
    elif _plain(theirs) != _plain(ours):
        yield f"{where}: {_short(theirs)} / {_short(ours)}"


def _of_objects(where: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    their, our = ({_plain(name): value for name, value in found.items()} for found in (theirs, ours))
    for name in their:
        if name in our:
            yield from _of(f"{where}.{name}", their[name], our[name])
        else:
            yield f"{where}.{name}: {_short(their[name])} / absent"
    yield from (f"{where}.{name}: absent / {_short(our[name])}" for name in our if name not in their)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _TIME.sub("<time>", _ID.sub("<id>", value))
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(found) for name, found in value.items()}
    return value


def _short(value: Any) -> str:
    text = repr(_plain(value))
    return text if len(text) <= _LONGEST else f"{text[:80]}...{text[-60:]}"
