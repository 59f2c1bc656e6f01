"""Invariants that rows break by what they say now: each rule is the condition of a broken row and what to call it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When

from runs.models import Checkpoint, ClockTimestamp, IdempotencyKey, Run, Thread
from runs.services.invariants.violation import Violation
from runs.states import FAILED, IN_FLIGHT, TERMINAL, CancelAction, RunStatus, ThreadStatus

#: How long a scheduled run may be due before somebody must have dispatched it.
SCHEDULER_PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True)
class Rule:
    """`what` is said of each row that fulfils `broken`."""

    invariant: str
    what: str
    broken: Q


def broken_rules(threads: Sequence[UUID]) -> Iterator[Violation]:
    """Yield the rows of these threads that break a rule."""
    yield from _apply("run", RUN_RULES, Run.objects.filter(thread__in=threads))
    yield from _apply("checkpoint", CHECKPOINT_RULES, Checkpoint.objects.filter(thread__in=threads))
    yield from _apply("idempotency key", KEY_RULES, IdempotencyKey.objects.filter(run__thread__in=threads))
    yield from _apply("thread", THREAD_RULES, _with_facts(Thread.objects.filter(pk__in=threads)))


def _apply(table: str, rules: Sequence[Rule], rows: QuerySet[Any]) -> Iterator[Violation]:
    """One statement finds out that nothing is wrong, which is the rule; only then one for each rule says what."""
    if not rows.filter(reduce(or_, (rule.broken for rule in rules))).exists():
        return
    for rule in rules:
        for row in rows.filter(rule.broken).order_by("pk").values_list("pk", flat=True):
            yield Violation(rule.invariant, f"{table} {row}", rule.what)


def _set(column: str) -> Q:
    return Q(**{f"{column}__isnull": False})


def _other(path: str, column: str) -> Q:
    """There is such a row, and what it says is not what `column` says."""
    return _set(path) & ~Q(**{path: F(column)})


def _earlier(*conditions: Q) -> Q:
    """An earlier run of the same thread fulfils these, too."""
    return Q(Exists(Run.objects.filter(*conditions, thread=OuterRef("thread"), sequence__lt=OuterRef("sequence"))))


_in_flight = Q(status__in=sorted(IN_FLIGHT))
_pending = Q(status=RunStatus.PENDING)
_running = Q(status=RunStatus.RUNNING)
_interrupted = Q(status=RunStatus.INTERRUPTED)
_leased = Q(leased=True)
_begun = Q(attempt__gte=1)
_cancelled = _set("cancel_action") | _set("cancelled_at")
_to_restore = _begun & Q(cancel_action=CancelAction.ROLLBACK)

RUN_RULES = (
    Rule("I1", "has an unknown status", ~Q(status__in=RunStatus.values)),
    Rule("I1", "is terminal and has not finished", Q(status__in=sorted(TERMINAL), finished_at=None)),
    Rule("I1", "has finished and is in flight", _in_flight & _set("finished_at")),
    Rule("I1", "is running without a time limit", _running & Q(timeout_at=None)),
    Rule("I1", "is in flight after its last crash", _in_flight & Q(crashes__gte=F("max_attempts"))),
    Rule("I1", "is deleted and in flight", _in_flight & (_set("deleted_at") | _set("thread__deleted_at"))),
    Rule("I1", "has an error and did not fail", _set("error") & ~Q(status__in=sorted(FAILED))),
    Rule("I2", "is running and not leased", _running & ~_leased),
    Rule("I2", "is pending and leased", _pending & _leased),
    Rule("I2", "is leased and nobody holds it", _leased & Q(worker=None)),
    Rule("I2", "is leased and never began", _leased & ~_begun),
    Rule("I2", "is the second lease of its thread", _leased & _earlier(_leased)),
    Rule("I2", "is the second begun run of its thread", _in_flight & _begun & _earlier(_in_flight, _begun)),
    Rule("I3", "was displaced and is not interrupted", _set("displaced_by") & ~_interrupted),
    Rule("I3", "was displaced by a run of another thread", _other("displaced_by__thread", "thread")),
    Rule("I3", "was displaced by an earlier run", Q(displaced_by__sequence__lte=F("sequence"))),
    Rule("I4", "is interrupted and nobody cancelled it", _interrupted & (~_cancelled | Q(cancelled_by=""))),
    Rule("I4", "was cancelled and is not interrupted", _cancelled & ~_interrupted),
    Rule("I4", "has half a cancel", Q(cancel_action=None) ^ Q(cancelled_at=None)),
    Rule("I4", "was to be rolled back and was not", _to_restore & Q(rolled_back_at=None)),
    Rule("I4", "was rolled back and was not to be", _set("rolled_back_at") & ~_to_restore),
    Rule("I5", "has a base and never began", ~_begun & _set("base")),
    Rule("I5", "has a base of another thread", _other("base__thread", "thread")),
    Rule("I5", "has a checkpoint of its own as base", Q(base__run=F("pk"))),
    Rule("I11", "belongs to somebody else than its thread", ~Q(owner=F("thread__owner"))),
)

_other_run = ~Q(run=F("parent__run"))
_kept_from = F("parent__run__kept_from_attempt")
_follows_given_up = (_set("parent__run__rolled_back_at") & _other_run) | (
    Q(parent__attempt__lt=_kept_from) & (_other_run | Q(attempt__gte=_kept_from))
)

CHECKPOINT_RULES = (
    Rule("I5", "is of a run of another thread", _other("run__thread", "thread")),
    Rule("I5", "follows a checkpoint of another thread", _other("parent__thread", "thread")),
    Rule("I5", "follows a checkpoint that was given up", _follows_given_up),
    Rule("I5", "is of an attempt that never was", _set("run") & (Q(attempt__gt=F("run__attempt")) | Q(attempt__lt=1))),
)

KEY_RULES = (Rule("I11", "made a run of somebody else", ~Q(owner=F("run__owner"))),)

_is_base = Q(thread__head=F("base")) | Q(thread__head=None, base=None)
_is_own_step = Q(thread__head__run=F("pk"), rolled_back_at=None)
#: The head's run has been removed, or nobody ran: nothing to compare with.
_is_nobodys = Q(thread__head__isnull=False, thread__head__run=None)

THREAD_RULES = (
    Rule("I5", "has a head of another thread", _other("head__thread", "pk")),
    Rule("I5", "has a head of a run that was rolled back", _set("head__run__rolled_back_at")),
    Rule("I5", "has a head of an attempt that was given up", Q(head__attempt__lt=F("head__run__kept_from_attempt"))),
    Rule("I5", "has a head that is neither base nor step of its last run", Q(head_is_lost=True)),
    Rule("I7", "has a run that waits and was never dispatched", Q(is_forgotten=True)),
    Rule("I12", "shows another status than its runs and its head give it", ~Q(status=F("due_status"))),
)


def _with_facts(threads: QuerySet[Thread]) -> QuerySet[Thread]:
    """What the rules need to know about a thread's runs, once for each thread."""
    runs = Run.objects.filter(thread=OuterRef("pk"))
    finished = runs.filter(finished_at__isnull=False, deleted_at=None).order_by("-finished_at", "-sequence")
    began_last = runs.filter(_begun).order_by("-started_at", "-sequence").values("pk")[:1]
    lost = Run.objects.filter(~(_is_base | _is_own_step | _is_nobodys), pk=OuterRef("began_last"))
    return threads.annotate(
        began_last=Subquery(began_last),
        last_finished=Subquery(finished.values("status")[:1]),
        head_is_lost=Exists(lost),
        is_forgotten=_is_forgotten(runs),
        due_status=_due_status(runs),
    )


def _is_forgotten(runs: QuerySet[Run]) -> Q:
    """Nothing is leased, a run could be claimed, and no message that leads to its claim was ever sent.

    Not if a scheduled run has only just become due: it may be the first now, and the scheduler is about to call it.
    """
    long_ago = ClockTimestamp() - Value(SCHEDULER_PATIENCE)
    could_start = runs.filter(_pending, _begun | Q(not_before=None) | Q(not_before__lt=long_ago))
    handled = _leased | _pending & (
        _set("dispatched_at") | Q(not_before__gte=long_ago, not_before__lte=ClockTimestamp())
    )
    return Q(Exists(could_start)) & ~Q(Exists(runs.filter(handled)))


def _due_status(runs: QuerySet[Run]) -> Case:
    """A thread's status from its runs and its head: the function in `transition`, said a second time."""
    head_waits = _set("head") & ~Q(head__next=[], head__interrupts={})
    return Case(
        When(Exists(runs.filter(_in_flight)), then=Value(ThreadStatus.BUSY)),
        When(Q(last_finished__in=sorted(FAILED)), then=Value(ThreadStatus.ERROR)),
        When(head_waits, then=Value(ThreadStatus.INTERRUPTED)),
        default=Value(ThreadStatus.IDLE),
    )
