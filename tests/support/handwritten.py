"""Streams of runs written by hand, with everything in them that can go wrong."""

import json
from typing import Any

from runs.models import Run
from runs.services.lifecycle import Outcome, finish_run
from runs.states import RunStatus
from runs.streaming import log
from runs.streaming.connection import writer
from runs.streaming.frames import Place
from tests.support.factories import SYSTEM, cancel, make_run, make_thread, running
from tests.support.reading import place


def put(run: Run, *places: str, event: str = "custom") -> None:
    """Write frames at these places, whose data is their place. Numbers that are left out are frames that were lost."""
    for each in map(place, places):
        frame = (each.number, event, json.dumps(str(each)))
        assert log.append(run.pk, each.attempt, [frame]), f"{each} was refused"


def put_range(run: Run, attempt: int, start: int, stop: int) -> list[str]:
    """Write the frames from `start` to below `stop`, and return their places."""
    frames = [(number, "custom", json.dumps(f"{attempt}-{number}")) for number in range(start, stop)]
    assert log.append(run.pk, attempt, frames)
    return [str(Place(attempt, number)) for number in range(start, stop)]


def put_end(run: Run, attempt: int = 1, *, last: int | None = None, error: Any = None) -> None:
    """Write the end marker."""
    log.append_end(run.pk, attempt, last=last, error=error)


def wipe(run: Run) -> None:
    """What FLUSHALL does to the stream."""
    writer().delete(log.key(run.pk))


def trim(run: Run, keep: int) -> None:
    """What the bound on its length does to a stream, exactly."""
    writer().xtrim(log.key(run.pk), maxlen=keep, approximate=False)


def lose(run: Run, *places: str) -> None:
    """Frames that were there and are not any more."""
    assert writer().xdel(log.key(run.pk), *places) == len(places)


def retained(run: Run) -> list[str]:
    """The places in the stream now, "end" for the end marker."""
    entries: Any = writer().xrange(log.key(run.pk))
    return ["end" if place(entry_id).is_end else entry_id for entry_id, _ in entries]


def kept_places(run: Run) -> list[Place]:
    """The places of the frames in the stream now, without the end."""
    return [place(each) for each in retained(run) if each != "end"]


def pending_run() -> Run:
    """A run that waits, without a stream."""
    return make_run(make_thread())


def running_run() -> Run:
    """A run in its first attempt, without a stream."""
    return running(make_thread())


def finished_run(last_frame: int | None = None, **values: Any) -> Run:
    """A run that has succeeded, without a stream."""
    run = end(running_run(), last_frame, **values)
    wipe(run)
    return run


def end(run: Run, last_frame: int | None = None, **values: Any) -> Run:
    """The run, ended by its executor."""
    outcome = Outcome(status=RunStatus.SUCCESS, values=values or None)
    return finish_run(run_id=run.pk, attempt=run.attempt, outcome=outcome, last_frame=last_frame)


def cancelled_run() -> Run:
    """A run that was cancelled while it executed, without a stream."""
    run = cancel(running_run(), actor=SYSTEM)
    wipe(run)
    return run
