"""Run events: the append-only history of every status change, written in the transaction of the change."""

from django.db import models

from runs.models.fields import ClockTimestamp
from runs.states import RunStatus


class RunEvent(models.Model):
    """One transition of one run: from what, to what, by whom, why."""

    run = models.ForeignKey("runs.Run", on_delete=models.CASCADE, related_name="events")
    from_status = models.CharField(max_length=16, choices=RunStatus, null=True, blank=True)  # noqa: DJ001 - null: created
    to_status = models.CharField(max_length=16, choices=RunStatus)
    attempt = models.IntegerField()
    actor = models.CharField(max_length=255)
    reason = models.TextField(default="", blank=True)
    request_id = models.CharField(max_length=64, default="", blank=True)
    at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        ordering = ["id"]
        # The console's list of events of one kind: the latest of ten million are found at once.
        indexes = [models.Index(fields=["to_status", "-id"], name="runs_event_newest_to")]

    def __str__(self) -> str:
        return f"{self.from_status or 'new'} -> {self.to_status} by {self.actor}"
