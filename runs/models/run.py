"""Runs: one execution of an assistant on a thread, as accepted, as executed, as ended."""

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KeyTextTransform

from runs.models.compared import Compared
from runs.models.fields import ClockTimestamp, NextRunSequence, new_id
from runs.states import IN_FLIGHT, TERMINAL, CancelAction, DisconnectMode, MultitaskStrategy, OnCompletion, RunStatus

_in_flight = Q(status__in=sorted(IN_FLIGHT))
_unsettled = _in_flight | Q(leased=True)
_terminal = Q(status__in=sorted(TERMINAL))
_begun, _finished = Q(started_at__isnull=False), Q(finished_at__isnull=False)


class RunQuerySet(models.QuerySet["Run"]):
    """Readable filters over runs."""

    def visible_to(self, owner: Any) -> Self:
        """Runs of this owner that are not deleted, on threads that are not; owner None sees those of everyone.

        They are found by what else is asked for: by id, by thread, or among those in flight.
        """
        found = self.filter(deleted_at=None, thread__deleted_at=None)
        return found if owner is None else found.filter(Compared(owner=owner))

    def of_thread(self, thread_id: Any, owner: Any) -> Self:
        """Those of one thread that `visible_to` shows. The owner is asked of the thread: asked of each run, it would
        halve the planner's guess again, until it prefers to read and sort the whole thread."""
        found = self.visible_to(None).filter(thread=thread_id)
        return found if owner is None else found.filter(Compared(thread__owner=owner))

    def in_flight(self) -> Self:
        """Runs that are pending or running."""
        return self.filter(_in_flight)

    def unsettled(self) -> Self:
        """Runs that are pending, running or stopping: what stands between a thread and its next run."""
        return self.filter(_unsettled)

    def leased(self) -> Self:
        """Runs that a worker holds, from claim to settlement."""
        return self.filter(leased=True)

    def newest_first(self) -> Self:
        """The order of every list of runs; the sequence decides between equal times."""
        return self.order_by("-created_at", "-sequence")


class Run(models.Model):
    """One execution of an assistant. `id` is also the id of its Celery task."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    sequence = models.BigIntegerField(db_default=NextRunSequence(), unique=True, editable=False)
    # No foreign key brings an index of its own: each costs every run an entry at each change. Those below serve them.
    thread = models.ForeignKey("runs.Thread", on_delete=models.CASCADE, related_name="runs", db_index=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    #: What executes: the name of a registered function or graph, which LangGraph calls graph_id.
    assistant = models.CharField(max_length=128)
    #: As which assistant it was asked for; null: the server's own of that name. Not a foreign key: a run's history
    #: outlives the assistant.
    assistant_id = models.UUIDField(null=True, blank=True)
    status = models.CharField(max_length=16, choices=RunStatus, default=RunStatus.PENDING)

    multitask_strategy = models.CharField(max_length=16, choices=MultitaskStrategy)
    on_disconnect = models.CharField(max_length=16, choices=DisconnectMode)
    on_completion = models.CharField(max_length=16, choices=OnCompletion, default=OnCompletion.KEEP)
    metadata = models.JSONField(default=dict, blank=True)
    #: The request as accepted: input, command, config, context, stream_mode, checkpoint_id and the like.
    kwargs = models.JSONField(default=dict, blank=True)

    model_name = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 - null: never reported
    #: {"input_tokens", "output_tokens", "total_tokens", "calls", "by_model": {...}, "by_caller": {...}}
    usage = models.JSONField(default=dict, blank=True)
    message_count = models.IntegerField(default=0)
    first_message = models.TextField(default="", blank=True)
    last_message = models.TextField(default="", blank=True)
    #: {"type", "message", "traceback"} of what ended the run; null unless its status is error or timeout.
    error = models.JSONField(null=True, blank=True)
    #: Why the run has the status it has, in a word or a sentence for people.
    reason = models.TextField(default="", blank=True)

    cancel_action = models.CharField(max_length=16, choices=CancelAction, null=True, blank=True)  # noqa: DJ001
    cancelled_by = models.CharField(max_length=255, default="", blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    displaced_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="displaced", db_index=False
    )
    retry_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries", db_index=False
    )

    #: The request that created the run, and its place in that request's trace (W3C's traceparent); "": not known.
    #: With a default of the database's: servers of the former version insert rows while this one is rolled out.
    request_id = models.CharField(max_length=64, default="", db_default="", blank=True)
    traceparent = models.CharField(max_length=55, default="", db_default="", blank=True)

    #: The head when the first attempt was claimed; null with attempt >= 1: the thread was empty.
    base = models.ForeignKey(
        "runs.Checkpoint", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    rolled_back_at = models.DateTimeField(null=True, blank=True)
    #: checkpoint id -> {"next", "interrupts", "tasks"} of others' checkpoints before this run's tasks changed them.
    overwritten = models.JSONField(default=dict, blank=True)
    #: It was rolled back and LangGraph's tables hold nothing of it any more.
    purged = models.BooleanField(default=False)

    #: Number of the latest attempt, and the fence token of whatever it writes.
    attempt = models.IntegerField(default=0)
    #: Checkpoints of earlier attempts were given up when a later one started from base.
    kept_from_attempt = models.IntegerField(default=1)
    #: The number of the last frame of the stream, as the executor that finished the run counted; null: not known.
    last_frame = models.BigIntegerField(null=True, blank=True)
    crashes = models.IntegerField(default=0)
    max_attempts = models.IntegerField()
    worker = models.ForeignKey(
        "runs.Worker", null=True, blank=True, on_delete=models.PROTECT, related_name="runs", db_index=False
    )
    leased = models.BooleanField(default=False)
    timeout_seconds = models.FloatField()
    timeout_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    dispatches = models.IntegerField(default=0)

    deleted_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=ClockTimestamp())

    objects = RunQuerySet.as_manager()

    class Meta:
        # Seeing runs is Django's `view_run`; what else operators may do is asked for one by one.
        permissions = [
            ("cancel_run", "Can cancel runs"),
            ("retry_run", "Can retry runs"),
            ("force_stop_run", "Can force stop runs: kill the process that executes one"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["thread"], condition=Q(leased=True), name="runs_run_one_lease"),
            models.UniqueConstraint(
                fields=["thread"], condition=_in_flight & Q(attempt__gte=1), name="runs_run_one_begun"
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.RUNNING) | Q(leased=True), name="runs_run_running_leased"
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.PENDING) | Q(leased=False), name="runs_run_pending_not_leased"
            ),
            models.CheckConstraint(
                condition=Q(leased=False) | Q(worker__isnull=False), name="runs_run_lease_has_worker"
            ),
            models.CheckConstraint(
                condition=(_terminal & Q(finished_at__isnull=False)) | (_in_flight & Q(finished_at__isnull=True)),
                name="runs_run_terminal_iff_finished",
            ),
            models.CheckConstraint(
                condition=Q(cancel_action__isnull=True, cancelled_at__isnull=True)
                | Q(cancel_action__isnull=False, cancelled_at__isnull=False),
                name="runs_run_cancel_has_time",
            ),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="runs_run_status_known"),
            models.CheckConstraint(
                condition=Q(multitask_strategy__in=MultitaskStrategy.values), name="runs_run_strategy_known"
            ),
            models.CheckConstraint(
                condition=Q(on_disconnect__in=DisconnectMode.values), name="runs_run_disconnect_known"
            ),
            models.CheckConstraint(
                condition=Q(on_completion__in=OnCompletion.values), name="runs_run_completion_known"
            ),
            models.CheckConstraint(
                condition=Q(cancel_action__isnull=True) | Q(cancel_action__in=CancelAction.values),
                name="runs_run_cancel_known",
            ),
            models.CheckConstraint(
                condition=Q(attempt__gte=0, crashes__gte=0, max_attempts__gte=1, timeout_seconds__gt=0),
                name="runs_run_numbers_sane",
            ),
        ]
        indexes = [
            # What every transaction reads after it has locked a thread. One index for both halves: two would be
            # read through bitmaps, which forget nothing of what has ended since the last vacuum.
            models.Index(fields=["thread", "sequence"], condition=_unsettled, name="runs_run_unsettled"),
            models.Index(fields=["thread", "-created_at", "-sequence"], name="runs_run_newest_of_thread"),
            models.Index(fields=["owner", "-created_at", "-sequence"], name="runs_run_newest_of_owner"),
            # The console's lists: newest first of all, of a status, of an assistant, of a kind of error.
            models.Index(fields=["-created_at", "-sequence"], name="runs_run_newest"),
            models.Index(fields=["status", "-created_at", "-sequence"], name="runs_run_newest_of_status"),
            models.Index(fields=["assistant", "-created_at", "-sequence"], name="runs_run_newest_of_name"),
            models.Index(
                KeyTextTransform("type", "error"),
                F("created_at").desc(),
                F("sequence").desc(),
                condition=Q(error__isnull=False),
                name="runs_run_newest_of_error",
            ),
            # What happened over the last hours is read from these alone (services/trends.py).
            models.Index(
                fields=["finished_at"], include=["status", "started_at"], condition=_finished, name="runs_run_finished"
            ),
            models.Index(
                fields=["started_at"], include=["created_at", "not_before"], condition=_begun, name="runs_run_started"
            ),
            models.Index(
                fields=["thread", "-finished_at", "-sequence"], condition=_finished, name="runs_run_last_finished"
            ),
            # The order of a thread's stream.
            models.Index(fields=["thread", "started_at", "sequence"], condition=_begun, name="runs_run_begun"),
            models.Index(fields=["worker"], condition=Q(leased=True), name="runs_run_held"),
            *(
                models.Index(fields=[name], condition=Q(**{f"{name}__isnull": False}), name=f"runs_run_of_{name}")
                for name in ("worker", "base", "displaced_by", "retry_of")
            ),
            models.Index(fields=["timeout_at"], condition=Q(status=RunStatus.RUNNING), name="runs_run_deadline"),
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="runs_run_deleted"),
            models.Index(
                fields=["rolled_back_at"],
                condition=Q(rolled_back_at__isnull=False, purged=False),
                name="runs_run_given_up",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_in_flight(self) -> bool:
        """Pending or running."""
        return self.status in IN_FLIGHT

    @property
    def is_terminal(self) -> bool:
        """Success, error, timeout or interrupted: the status will never change again."""
        return self.status in TERMINAL

    @property
    def is_stopping(self) -> bool:
        """Terminal, but its executor has not been seen to leave."""
        return self.is_terminal and self.leased

    @property
    def is_settled(self) -> bool:
        """Terminal, and nothing executes it any more."""
        return self.is_terminal and not self.leased

    def is_due(self, now: datetime) -> bool:
        """Whether a pending run may be claimed now, as far as its schedule goes."""
        return self.attempt > 0 or self.not_before is None or self.not_before <= now

    def queue_key(self, now: datetime) -> tuple[Any, ...]:
        """Sorts a thread's queue: the run that has begun, the due by sequence, the others by when they are due."""
        if self.is_due(now):
            return (self.attempt == 0, False, self.sequence)
        return (True, True, self.not_before, self.sequence)
