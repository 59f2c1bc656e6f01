"""Invariants that show only over time: the run events of a thread, replayed in the order in which they were written.

The events of a thread are written under its lock, so their ids tell the order of its transactions.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from runs.models import Run, RunEvent
from runs.services.invariants.violation import Violation
from runs.states import TERMINAL, TRANSITIONS, RunStatus

_COLUMNS = ("thread_id", "sequence", "status", "attempt", "crashes", "leased", "not_before")


@dataclass
class History:
    """A run and its events, oldest first."""

    run: Run
    events: list[RunEvent] = field(default_factory=list)

    @property
    def settlements(self) -> int:
        """How often the lease of the ended run ended."""
        return sum(_is_settlement(event) for event in self.events)

    @property
    def ending(self) -> RunEvent | None:
        """The event that made the run terminal."""
        return next((event for event in self.events if event.to_status in TERMINAL), None)

    def count(self, came_from: RunStatus, to: RunStatus) -> int:
        """How often the run went from one status to the other."""
        return sum((event.from_status, event.to_status) == (came_from, to) for event in self.events)


def broken_histories(threads: Sequence[UUID]) -> Iterator[Violation]:
    """Yield where the events of these threads contradict the table of transitions, the rows, or each other."""
    for histories in _read(threads).values():
        for history in histories.values():
            for check in (_path, _attempts, _settlement):
                for what in check(history):
                    yield Violation("I12", f"run {history.run.pk}", what)
        yield from _replay(histories)


def _read(threads: Sequence[UUID]) -> dict[UUID, dict[UUID, History]]:
    found: dict[UUID, dict[UUID, History]] = defaultdict(dict)
    thread_of: dict[UUID, UUID] = {}
    for run in Run.objects.filter(thread__in=threads).only(*_COLUMNS).order_by("sequence"):
        thread_of[run.pk] = run.thread_id
        found[run.thread_id][run.pk] = History(run)
    for event in RunEvent.objects.filter(run__thread__in=threads).defer("reason").order_by("id"):
        found[thread_of[event.run_id]][event.run_id].events.append(event)
    return found


def _path(history: History) -> Iterator[str]:
    """From creation to the status of the row, each step one that the table has."""
    status: str | None = None
    for event in history.events:
        if event.from_status != status:
            yield f"event {event.pk} leaves {event.from_status}, but the run was {status}"
        if event.to_status not in TRANSITIONS.get(_known(event.from_status), ()):
            yield f"event {event.pk} is no transition: {event.from_status} -> {event.to_status}"
        status = event.to_status
    if status != history.run.status:
        yield f"is {history.run.status}, its events end at {status}"


def _known(status: str | None) -> RunStatus | None:
    return None if status is None else RunStatus(status)


def _attempts(history: History) -> Iterator[str]:
    """Each claim is the next attempt, and every event names the attempt it happened in."""
    attempt = 0
    for event in history.events:
        attempt += event.to_status == RunStatus.RUNNING
        if event.attempt != attempt:
            yield f"event {event.pk} names attempt {event.attempt} in attempt {attempt}"
    if history.run.attempt != attempt:
        yield f"is at attempt {history.run.attempt}, its events at {attempt}"
    lost = history.count(RunStatus.RUNNING, RunStatus.PENDING) + history.count(RunStatus.RUNNING, RunStatus.ERROR)
    if history.run.crashes > lost:
        yield f"counts {history.run.crashes} crashes, its events show {lost}"


def _settlement(history: History) -> Iterator[str]:
    """A run that was interrupted or timed out while it ran gives its lease back once, and nothing else does."""
    if history.settlements > 1:
        yield "was settled more than once"
    if history.settlements and history.run.leased:
        yield "was settled and is leased"
    ending = history.ending
    if ending is None:
        return
    if history.settlements and ending.from_status != RunStatus.RUNNING:
        yield "was settled and nothing had executed it"
    left_behind = ending.from_status == RunStatus.RUNNING and ending.to_status in _KEEPS_LEASE
    if left_behind and not history.run.leased and not history.settlements:
        yield "lost its lease without an event"


_KEEPS_LEASE = frozenset({RunStatus.INTERRUPTED, RunStatus.TIMEOUT})


def _replay(histories: dict[UUID, History]) -> Iterator[Violation]:
    """No claim while another run is leased (I2); first claims in the order of acceptance, scheduled runs apart."""
    events = sorted((event for history in histories.values() for event in history.events), key=lambda event: event.pk)
    holder: UUID | None = None
    latest = 0
    for event in events:
        run = histories[event.run_id].run
        if event.to_status == RunStatus.RUNNING:
            if holder is not None:
                yield Violation("I2", f"run {run.pk}", f"began attempt {event.attempt} while {holder} was leased")
            if event.attempt == 1 and run.not_before is None:
                if run.sequence < latest:
                    yield Violation("I2", f"run {run.pk}", "began after a run that was accepted later")
                latest = max(latest, run.sequence)
            holder = run.pk
        elif holder == run.pk and _ends_lease(event, histories[run.pk]):
            holder = None


def _ends_lease(event: RunEvent, history: History) -> bool:
    if event.to_status == RunStatus.PENDING or _is_settlement(event):
        return True
    kept = event.to_status in _KEEPS_LEASE or history.run.leased or history.settlements > 0
    return not kept


def _is_settlement(event: RunEvent) -> bool:
    return event.from_status == event.to_status and event.to_status in TERMINAL
