"""What a wake carries: the very frames that it announces, for those who have everything before them.

Its first line says what has happened, as that of a wake does which carries nothing. Then a line with the attempt, and
three for each frame: number, event, data; each ends with a line break. It may be lost, doubled or late, so only places
say whether all is there.
"""

from collections.abc import Iterable, Iterator, Sequence

from runs.streaming.frames import Frame, Place

#: Bytes of the frames that one wake carries at most.
MOST_CARRIED = 64 * 1024
#: What is kept for a reader until it can be given: so many characters, of so many wakes. One that is slower looks for
#: its frames when it is there again, many at a time.
MOST_CHARACTERS = 2 * MOST_CARRIED
MOST_WAKES = 32


def parted(said: str) -> tuple[str, str]:
    """What has happened, and what comes with it: nothing, or frames."""
    word, _, carried = said.partition("\n")
    return word, carried


def kept(before: tuple[str, ...], carried: str) -> tuple[str, ...]:
    """What was carried until now and this; nothing, if that would be too much."""
    fits = len(before) < MOST_WAKES and sum(map(len, before)) + len(carried) <= MOST_CHARACTERS
    return (*before, carried) if fits else ()


def frames_after(last: Place | None, carried: Iterable[str]) -> list[Frame] | None:
    """The frames after this place (None: from a run's first), without what came before; None: one may be missing.

    Only within an attempt: where one begins, and where an end cannot say what was the last, more has to be asked.
    """
    found: list[Frame] = []
    try:
        for frame in _frames(carried):
            if last is not None and frame.place.attempt == last.attempt and frame.place.number <= last.number:
                continue
            if not _is_next(last, frame):
                return None
            found.append(frame)
            last = frame.place
    except ValueError:  # nothing that we have written
        return None
    return found


def _is_next(last: Place | None, frame: Frame) -> bool:
    attempt, number = (1, -1) if last is None else (last.attempt, last.number)
    follows = frame.payload.get("last") if frame.place.is_end else frame.place.number - 1
    return frame.place.attempt == attempt and follows == number


def _frames(carried: Iterable[str]) -> Iterator[Frame]:
    for text in carried:
        attempt, *lines, _ = text.split("\n")
        yield from _of_attempt(int(attempt), lines)


def _of_attempt(attempt: int, lines: Sequence[str]) -> Iterator[Frame]:
    for number, event, data in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        yield Frame(Place(attempt, int(number)), event, data)
