"""What readers need to know of runs: read for many at once, without keeping a database connection."""

import json
import sys
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import close_old_connections
from django.db.models import OuterRef, Q, QuerySet, Subquery

from runs.models import Compared, Run, Thread
from runs.statements import Statement, execute
from runs.states import TERMINAL

#: One array, where IN would have a parameter for each: every web process asks this each second, of all its streams.
_COLUMNS = "id, status, attempt, leased, error, finished_at, last_frame"
_READ = f"SELECT {_COLUMNS} FROM {Run._meta.db_table} WHERE id = ANY(%s)"  # noqa: S608 - our names


class RunRow(NamedTuple):
    """The run as its row shows it."""

    run_id: UUID
    status: str
    attempt: int
    leased: bool
    error: Any
    finished_at: datetime | None
    last_frame: int | None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_settled(self) -> bool:
        return self.is_terminal and not self.leased


class Begun(NamedTuple):
    """A run that was claimed at least once; the runs of a thread are ordered so."""

    started_at: datetime
    sequence: int
    run_id: UUID


def begun_after(thread_id: UUID, owner: Any, former: Begun | None) -> Begun | None:
    """Return the run of the thread that began next after this one; None for `former`: the first."""
    runs = _begun(thread_id, owner)
    if former is not None:
        # The first condition is where the index is entered; the second cannot be.
        runs = runs.filter(started_at__gte=former.started_at)
        runs = runs.filter(Q(started_at__gt=former.started_at) | Q(sequence__gt=former.sequence))
    return _first(runs.order_by("started_at", "sequence"))


def begun(thread_id: UUID, owner: Any, run_id: UUID) -> Begun | None:
    """Return this run if it is one of the thread that has begun."""
    return _first(Run.objects.visible_to(owner).filter(Compared(thread=thread_id, started_at__isnull=False), pk=run_id))


def latest_begun(thread_id: UUID, owner: Any) -> tuple[Begun | None, bool]:
    """Return the run of the thread that began last, and whether it is over."""
    found = _begun(thread_id, owner).order_by("-started_at", "-sequence").first()
    if found is None or found.started_at is None:
        return None, True
    return Begun(found.started_at, found.sequence, found.pk), found.is_terminal


def last_beginnings(thread_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Return when a run began last on each of these threads: the last entry of each in an index, not all its runs."""
    try:
        begun = Run.objects.filter(thread=OuterRef("pk"), started_at__isnull=False).order_by("-started_at")
        found = Thread.objects.filter(pk__in=thread_ids).annotate(last=Subquery(begun.values("started_at")[:1]))
        return {pk: last for pk, last in found.values_list("pk", "last") if last is not None}
    finally:
        close_old_connections()


def is_visible(thread_id: UUID, owner: Any) -> bool:
    """Return whether the thread is there, and this owner's (None: anybody's)."""
    try:
        return Thread.objects.visible_to(owner).filter(pk=thread_id).exists()
    finally:
        close_old_connections()


def _begun(thread_id: UUID, owner: Any) -> QuerySet[Run]:
    """By owner, because the id of a deleted thread is free: the next with that id may be somebody else's."""
    return Run.objects.of_thread(thread_id, owner).filter(started_at__isnull=False)


def _first(runs: QuerySet[Run]) -> Begun | None:
    try:
        row = runs.values_list("started_at", "sequence", "pk").first()
        return None if row is None or row[0] is None else Begun(row[0], row[1], row[2])
    finally:
        close_old_connections()


def read(run_ids: Collection[UUID]) -> dict[UUID, RunRow]:
    """Return the rows of these runs; one that is missing has gone."""
    try:
        [found] = execute(Statement(_READ, [list(run_ids)]))
        return {row[0]: _shown(*row) for row in found}
    finally:
        close_old_connections()


def _shown(run_id: UUID, status: str, attempt: int, leased: bool, error: str | None, *rest: Any) -> RunRow:
    """Thousands of rows say the same few words."""
    return RunRow(run_id, sys.intern(status), attempt, leased, None if error is None else json.loads(error), *rest)
