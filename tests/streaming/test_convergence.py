"""Whatever a stream has lost and wherever a client begins: following the ids it comes to the end, and nothing is lost
on the way or comes twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.models import Run
from runs.streaming import reader
from runs.streaming.frames import END, Frame, From, Gap, Place, parse_cursor
from tests.support.handwritten import finished_run, kept_places, put, put_end, wipe
from tests.support.reading import Loop, Reading, id_of
from tests.support.scale import rounds

pytestmark = pytest.mark.usefixtures("db")
STEPS = 40


@dataclass(frozen=True)
class Layout:
    """What is left of a stream: the numbers of each attempt, and the end with what it says."""

    attempts: list[set[int]]
    has_end: bool
    last: int | None


numbers = st.one_of(st.integers(0, 8), st.sampled_from([END - 2, END - 1, END]))
cursors = st.one_of(st.just(From.START), st.builds(Place, st.integers(0, 4), numbers))
attempts = st.lists(st.sets(st.integers(0, 7), max_size=8), min_size=1, max_size=3)
lasts = st.one_of(st.none(), st.integers(0, 8))
layouts = st.builds(Layout, attempts, st.booleans(), lasts)


@pytest.fixture(scope="module")
def run(db: None) -> Run:
    """A finished run; each example gives it another stream."""
    return finished_run(answer=42)


@pytest.fixture(scope="module")
def soon() -> Iterator[None]:
    """A missing end is missed at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "MISSING_END_SECONDS", 0.0)
        yield


@given(layout=layouts, cursor=cursors)
@settings(max_examples=rounds(500), deadline=None)
def test_following_the_ids_leads_to_the_end(
    loop: Loop, run: Run, soon: None, layout: Layout, cursor: Place | From
) -> None:
    write(run, layout)
    kept = kept_places(run)

    frames, lowest = follow(loop, run.pk, cursor)

    assert frames[-1] == "end"
    assert frames.count("end") == 1
    if kept:
        assert frames[:-1] == [str(each) for each in kept if lowest is None or each > lowest]


def write(run: Run, layout: Layout) -> None:
    """Leave this of the run's stream."""
    latest = len(layout.attempts)
    Run.objects.filter(pk=run.pk).update(attempt=latest, last_frame=layout.last)
    wipe(run)
    for attempt, kept in enumerate(layout.attempts, start=1):
        put(run, *(f"{attempt}-{number}" for number in sorted(kept)))
    if layout.has_end:
        put_end(run, latest, last=layout.last)


def follow(loop: Loop, run_id: UUID, cursor: Place | From) -> tuple[list[str], Place | None]:
    """Read on from the last id until the end: the frames, and the lowest place from which the client was sent on."""
    frames: list[str] = []
    starts = [cursor]
    for _ in range(STEPS):
        reading = loop.read(run_id, starts[-1])
        reading.to_the_end()
        assert_without_hole(starts[-1], reading)
        gaps = [item for item in reading.items if isinstance(item, Gap)]
        frames += [shown for shown in reading.places if shown != "gap"]
        if not gaps:
            break
        following = parse_cursor(id_of(gaps[0]))
        assert following != starts[-1], "the same question again has the same answer"
        starts.append(following)
    else:
        raise AssertionError(f"no end after {STEPS} readings: {starts}")
    places = [start for start in starts if isinstance(start, Place)]
    return frames, min(places) if len(places) == len(starts) else None


def assert_without_hole(start: Place | From, reading: Reading) -> None:
    """Every frame is the successor of the one before it, or of the cursor; what is kept in the rows is not numbered."""
    former = start if isinstance(start, Place) else Place(0, 0)
    for item in reading.items:
        if not isinstance(item, Frame) or item.event != "custom":
            return
        assert item.place in (Place(former.attempt, former.number + 1), Place(former.attempt + 1, 0))
        former = item.place
