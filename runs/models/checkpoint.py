"""Checkpoints: every state that was ever a thread's head."""

from typing import Any, Self

from django.db import models
from django.db.models import F, Q

from runs.models.compared import Compared
from runs.models.fields import ClockTimestamp, new_checkpoint_id


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    """Readable filters over checkpoints."""

    def forkable(self) -> Self:
        """Checkpoints that were not given up: not of a rolled-back run, nor of an attempt that started over."""
        given_up = Q(run__rolled_back_at__isnull=False) | Q(attempt__lt=F("run__kept_from_attempt"))
        return self.exclude(Q(run__isnull=False) & given_up)

    def forkable_on(self, thread: Any, checkpoint_id: Any) -> Self:
        """The checkpoint with this id, if it is forkable and the thread's."""
        return self.forkable().filter(Compared(thread=thread), pk=checkpoint_id)


class Checkpoint(models.Model):
    """A thread's state at one step, written in the transaction that made it the head.

    What a function has written never changes. A graph's tasks change until the next step, by the run that executes
    them; what it finds there is kept on the run, so that a rollback can put it back.
    """

    id = models.UUIDField(primary_key=True, default=new_checkpoint_id, editable=False)
    thread = models.ForeignKey("runs.Thread", on_delete=models.CASCADE, related_name="checkpoints", db_index=False)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    run = models.ForeignKey(
        "runs.Run", null=True, blank=True, on_delete=models.SET_NULL, related_name="checkpoints", db_index=False
    )
    attempt = models.IntegerField(default=0)
    step = models.IntegerField()
    values = models.JSONField(default=dict)
    next = models.JSONField(default=list)
    #: task id -> [{"id", "value"}] that wait for a `command.resume`
    interrupts = models.JSONField(default=dict)
    #: What a graph executes next, as LangGraph's API shows it: [{"id", "name", "interrupts", ...}]; null: no graph's.
    tasks = models.JSONField(null=True, blank=True)
    #: `values` with what tasks have written that finished before their siblings; null: `values`.
    live_values = models.JSONField(null=True, blank=True)
    #: What LangGraph calls it, if that is not `id`: the checkpoint is a copy.
    langgraph_id = models.UUIDField(null=True, blank=True, editable=False)
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["thread", "-id"], name="runs_checkpoint_of_thread"),
            models.Index(fields=["run", "-step"], name="runs_checkpoint_of_run"),
        ]

    def __str__(self) -> str:
        return str(self.id)
