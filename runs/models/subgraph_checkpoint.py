"""Checkpoints of subgraphs: what a graph inside the thread's graph held, for processes that cannot import it."""

from typing import Self

from django.db import models

from runs.models.fields import ClockTimestamp, new_id


class SubgraphCheckpointQuerySet(models.QuerySet["SubgraphCheckpoint"]):
    """Readable filters over checkpoints of subgraphs."""

    def kept(self) -> Self:
        """Those that were not given up with the run that wrote them."""
        return self.exclude(run__rolled_back_at__isnull=False)


class SubgraphCheckpoint(models.Model):
    """A subgraph's state at one step, written in the transaction in which LangGraph's own row is.

    Ids of checkpoints are LangGraph's: in a copied thread they are those of the original.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    thread = models.ForeignKey("runs.Thread", on_delete=models.CASCADE, related_name="subgraph_checkpoints")
    run = models.ForeignKey(
        "runs.Run", null=True, blank=True, on_delete=models.SET_NULL, related_name="subgraph_checkpoints"
    )
    #: "node:task", joined by "|" in subgraphs of subgraphs; without tasks if the subgraph has a memory of its own.
    namespace = models.TextField()
    checkpoint_id = models.UUIDField()
    parent_checkpoint_id = models.UUIDField(null=True, blank=True)
    #: The checkpoint of the root graph during whose step this one was written.
    root = models.UUIDField()
    step = models.IntegerField()
    values = models.JSONField(default=dict)
    #: What a `Checkpoint` has under these names.
    next = models.JSONField(default=list)
    interrupts = models.JSONField(default=dict)
    tasks = models.JSONField(default=list)
    live_values = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    objects = SubgraphCheckpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["thread", "namespace", "checkpoint_id"], name="runs_subgraphcheckpoint_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.namespace} {self.checkpoint_id}"
