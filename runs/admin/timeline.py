"""The life of a run as stretches of time: waits, attempts, and the time its executor took to leave."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runs.admin.words import duration
from runs.models import RunEvent
from runs.states import TERMINAL, RunStatus

WAIT, ATTEMPT, LEAVING = "wait", "attempt", "leaving"


@dataclass(frozen=True)
class Stretch:
    """From one event to the next; `ended` None: it goes on."""

    kind: str
    title: str
    began: datetime
    ended: datetime | None
    #: What ended it, in the words of the event.
    outcome: str
    #: Where it lies between the run's creation and its end, in thousandths.
    left: int = 0
    width: int = 0

    def lasted(self, now: datetime) -> timedelta:
        return (self.ended or now) - self.began


@dataclass(frozen=True)
class Timeline:
    """All stretches, oldest first."""

    stretches: list[Stretch]
    total: timedelta

    @property
    def lasted(self) -> str:
        """From the first to the last, in words."""
        return duration(self.total)

    @property
    def rows(self) -> Iterator[tuple[Stretch, str]]:
        """Each with how long it lasted."""
        now = self.stretches[0].began + self.total
        return ((stretch, duration(stretch.lasted(now))) for stretch in self.stretches)


def timeline(events: Sequence[RunEvent], *, leased: bool, now: datetime) -> Timeline | None:
    """Build it from the run's events, oldest first; None without any. `leased`: something executes the run now."""
    stretches = list(_stretches(events, leased))
    if not stretches:
        return None
    start = stretches[0].began
    end = max((stretch.ended or now) for stretch in stretches)
    total = max(end - start, timedelta(microseconds=1))
    return Timeline([_placed(stretch, start, end, total) for stretch in stretches], total)


def _stretches(events: Sequence[RunEvent], leased: bool) -> Iterator[Stretch]:
    for number, event in enumerate(events):
        following = events[number + 1] if number + 1 < len(events) else None
        kind = _kind(event)
        if kind is None or (kind == LEAVING and following is None and not leased):
            continue
        yield Stretch(
            kind=kind,
            title=_title(kind, event),
            began=event.at,
            ended=following.at if following else None,
            outcome=_outcome(following),
        )


def _kind(event: RunEvent) -> str | None:
    if event.to_status == RunStatus.PENDING:
        return WAIT
    if event.to_status == RunStatus.RUNNING:
        return ATTEMPT
    return LEAVING if event.from_status == RunStatus.RUNNING and event.to_status in TERMINAL else None


def _title(kind: str, event: RunEvent) -> str:
    if kind == ATTEMPT:
        return f"Attempt {event.attempt}"
    if kind == LEAVING:
        return "Stopping"
    return "Waiting again" if event.attempt else "Waiting"


def _outcome(following: RunEvent | None) -> str:
    if following is None:
        return "goes on"
    return f"{following.to_status}: {following.reason}" if following.reason else str(following.to_status)


def _placed(stretch: Stretch, start: datetime, end: datetime, total: timedelta) -> Stretch:
    left = round(1000 * ((stretch.began - start) / total))
    width = max(round(1000 * (((stretch.ended or end) - stretch.began) / total)), 4)  # what is short is seen, too
    return Stretch(
        stretch.kind, stretch.title, stretch.began, stretch.ended, stretch.outcome, min(left, 996), min(width, 1000)
    )
