"""What clients saw of threads, and whether any order of events could have shown them that.

Clients record their calls; nothing here reads the database, and no clock but the clients' own is trusted. A call that
ended before another began came first; calls that overlapped may have come in either order.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

TERMINAL = frozenset({"success", "error", "timeout", "interrupted"})
IN_FLIGHT = frozenset({"pending", "running"})
_PATHS = {
    "pending": {"pending", "running"} | TERMINAL,
    "running": {"pending", "running"} | TERMINAL,
    **{status: {status} for status in TERMINAL},
}


@dataclass(frozen=True)
class Call:
    """One call of a client: `verb` is create, cancel, read or wait; `status` what the answer said of the run.

    A create that was not answered (`answered` False) may have happened or not.
    """

    verb: str
    thread: str
    run: str
    began: float
    ended: float
    status: str = ""
    #: Of a create: its strategy and the runs that it displaced. Of a cancel: interrupt or rollback.
    how: str = ""
    displaced: tuple[str, ...] = ()
    accepted: bool = True
    #: Of a read: the attempt and when the run began, in the server's words.
    attempt: int = 0
    started: str = ""


@dataclass(frozen=True)
class Seen:
    """The events of a run, as the server tells them afterwards: (from, to, attempt), oldest first."""

    run: str
    thread: str
    events: tuple[tuple[str, str, int], ...]


@dataclass
class History:
    """Everything that was seen. Clients in many threads record here."""

    calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, call: Call) -> None:
        """Add what a client has seen."""
        with self._lock:
            self.calls.append(call)

    def objections(self, told: Iterable[Seen] = ()) -> list[str]:
        """What no correct server could have shown; empty if all is well."""
        events = {seen.run: seen for seen in told}
        found = [objection for calls in self._by("run").values() for objection in _of_run(calls)]
        for calls in self._by("thread").values():
            found += _of_thread(calls)
        if events:
            found += [
                objection for run, calls in self._by("run").items() for objection in _against(calls, events.get(run))
            ]
        return found

    def _by(self, name: str) -> dict[str, list[Call]]:
        found: dict[str, list[Call]] = defaultdict(list)
        for call in sorted(self.calls, key=lambda call: call.began):
            if getattr(call, name):
                found[getattr(call, name)].append(call)
        return found


# One run


def _of_run(calls: list[Call]) -> Iterator[str]:
    shown = [call for call in calls if call.status and call.accepted]
    yield from _resurrections(shown)
    yield from _two_ends(shown)
    yield from _cancel_or_finish(calls, shown)
    yield from _attempts(shown)


def _pairs(calls: list[Call]) -> Iterator[tuple[Call, Call]]:
    """Calls of which the first had ended before the second began."""
    for first in calls:
        for second in calls:
            if first.ended < second.began:
                yield first, second


def _resurrections(shown: list[Call]) -> Iterator[str]:
    """Terminal stays terminal."""
    for first, second in _pairs(shown):
        if second.status not in _PATHS[first.status]:
            yield f"run {first.run} was {first.status} and later {second.status}"


def _two_ends(shown: list[Call]) -> Iterator[str]:
    """Nobody sees two different ends, also not in calls that overlap."""
    ends = {call.status for call in shown if call.status in TERMINAL}
    if len(ends) > 1:
        yield f"run {shown[0].run} ended as {' and as '.join(sorted(ends))}"


def _cancel_or_finish(calls: list[Call], shown: list[Call]) -> Iterator[str]:
    """After an accepted cancel a run is interrupted for whoever asks; one that was displaced, too."""
    for cancel in calls:
        if cancel.verb != "cancel" or not cancel.accepted:
            continue
        for later in shown:
            if cancel.ended < later.began and later.status != "interrupted":
                yield f"run {cancel.run} was cancelled and later {later.status}"
    refused = [call for call in calls if call.verb == "cancel" and not call.accepted]
    for cancel in refused:
        if any(later.status in IN_FLIGHT and cancel.ended < later.began for later in shown):
            yield f"run {cancel.run} was said to have ended, and later it was in flight"


def _attempts(shown: list[Call]) -> Iterator[str]:
    """Attempts only grow."""
    for first, second in _pairs([call for call in shown if call.attempt]):
        if second.attempt < first.attempt:
            yield f"run {first.run} was at attempt {first.attempt} and later at {second.attempt}"


# One thread


def _of_thread(calls: list[Call]) -> Iterator[str]:
    yield from _two_writers(calls)
    yield from _out_of_order(calls)
    yield from _wrongly_admitted(calls)
    yield from _displaced(calls)


def _two_writers(calls: list[Call]) -> Iterator[str]:
    """No run was seen running between two moments at which another was, both in the same attempt."""
    running = [call for call in calls if call.status == "running" and call.attempt]
    for first, last in _pairs(running):
        if (first.run, first.attempt) != (last.run, last.attempt):
            continue
        for other in running:
            if other.run != first.run and first.ended < other.began and other.ended < last.began:
                yield f"run {other.run} was running inside attempt {first.attempt} of run {first.run}"


def _out_of_order(calls: list[Call]) -> Iterator[str]:
    """Of two accepted creates that did not overlap, the first begins first."""
    creates = [call for call in calls if call.verb == "create" and call.accepted]
    started = {call.run: call.started for call in calls if call.started}
    for first, second in _pairs(creates):
        if started.get(first.run, "") > started.get(second.run, "~") and second.run in started:
            yield f"run {second.run} began before run {first.run}, which was accepted earlier"


def _wrongly_admitted(calls: list[Call]) -> Iterator[str]:
    """A run with `reject` is not admitted while another is in flight for its whole call."""
    rejects = [call for call in calls if call.verb == "create" and call.accepted and call.how == "reject"]
    for create in rejects:
        for run in {call.run for call in calls} - {create.run}:
            seen = [call for call in calls if call.run == run and call.status in IN_FLIGHT]
            if any(call.ended < create.began for call in seen) and any(call.began > create.ended for call in seen):
                yield f"run {create.run} was admitted by reject while run {run} was in flight"


def _displaced(calls: list[Call]) -> Iterator[str]:
    """What a create displaced is interrupted afterwards; what it must have displaced is not in flight any more."""
    for create in calls:
        if create.verb != "create" or not create.accepted or create.how not in ("interrupt", "rollback"):
            continue
        earlier = {call.run for call in calls if call.verb == "create" and call.accepted and call.ended < create.began}
        for later in calls:
            if later.began <= create.ended or not later.status:
                continue
            if later.run in create.displaced and later.status != "interrupted":
                yield f"run {later.run} was displaced and later {later.status}"
            if later.run in earlier and later.status in IN_FLIGHT:
                yield f"run {later.run} outlived the {create.how} of run {create.run}"


# Against what the server tells


def _against(calls: list[Call], told: Seen | None) -> Iterator[str]:
    """Every accepted run is told of, ends once, and every answer names a status that it had."""
    accepted = [call for call in calls if call.verb == "create" and call.accepted]
    if told is None:
        if accepted:
            yield f"run {calls[0].run} was accepted and is not known"
        return
    statuses = [to for _, to, _ in told.events]
    ends = [to for came_from, to, _ in told.events if to in TERMINAL and came_from != to]
    if len(ends) != 1:
        yield f"run {told.run} ended {len(ends)} times"
    for call in calls:
        if call.status and call.accepted and call.status not in statuses:
            yield f"run {told.run} was seen {call.status} and never was"
    if any(call.verb == "cancel" and call.accepted for call in calls) and ends[-1:] != ["interrupted"]:
        yield f"run {told.run} was cancelled and ended as {ends[-1:]}"


def explain(history: History, objections: list[str]) -> str:
    """The objections with the calls that they are about, for a message."""
    lines = list(objections[:10])
    lines += [str(call) for call in history.calls if call.run and any(call.run in line for line in lines[:10])]
    return "\n".join(lines)


def clock() -> float:
    """The clients' clock: one for all processes of this machine."""
    return time.monotonic()
