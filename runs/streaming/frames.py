"""A frame, its place in the stream of its run, and which frame may follow which."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

#: The number of the end marker: the highest there is, so that nothing can be appended after it.
END = 2**64 - 1
_PLACE = re.compile(r"([0-9]{1,10})-([0-9]{1,20})")


class Place(NamedTuple):
    """Where a frame stands: the attempt that wrote it, and its number within that attempt."""

    attempt: int
    number: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.number}"

    @property
    def is_end(self) -> bool:
        return self.number == END


class From(Enum):
    """Where to begin without a place."""

    #: Everything from the first frame on.
    START = "start"
    #: Only what is written from now on.
    TAIL = "tail"


Cursor = Place | From


class Frame(NamedTuple):
    """One event of a run's stream; `data` is JSON text."""

    place: Place
    event: str
    data: str

    @property
    def payload(self) -> Any:
        """The data as a value."""
        return json.loads(self.data)


@dataclass(frozen=True)
class Gap:
    """Frames that the reader asked for are not to be had any more.

    Reading goes on after `resume` (None: from the start), where nothing is missing before what there is next.
    """

    requested: Place | None
    earliest: Place | None
    latest: Place | None
    resume: Place | None


def parse_cursor(text: str | None) -> Cursor:
    """Return where a `Last-Event-ID` points. "-1" and "0" mean the start; what cannot be read means the live tail."""
    if text is None or text in ("-1", "0", "0-0", "-"):
        return From.START
    match = _PLACE.fullmatch(text.strip())
    if match is None or int(match[2]) > END:
        return From.TAIL
    return Place(int(match[1]), int(match[2]))


def follows(last: Place | None, frame: Frame) -> bool:
    """Whether nothing is missing between the two (None: before the first frame).

    Numbers count every frame, also one that could not be written: so a hole shows. An attempt begins with number 0.
    """
    if frame.place.is_end:
        return _end_follows(last, frame)
    if last is not None and frame.place.attempt == last.attempt:
        return frame.place.number == last.number + 1
    return frame.place.number == 0 and frame.place.attempt == (1 if last is None else last.attempt + 1)


def _end_follows(last: Place | None, end: Frame) -> bool:
    """An executor's end says which frame was its last; somebody else's cannot know and says nothing.

    The place before the end is where a reader goes on that has been told of a gap there.
    """
    number = end.payload.get("last")
    return number is None or last in (Place(end.place.attempt, number), before(end))


def before(frame: Frame) -> Place | None:
    """A place after which this frame is the next; None: there is none, the frame is the first.

    Nobody knows how many frames the former attempt had, so the place before an attempt is none that a frame has.
    """
    place = frame.place
    if place.number > 0:
        return Place(place.attempt, place.number - 1)
    return Place(place.attempt - 1, END - 1) if place.attempt > 1 else None
