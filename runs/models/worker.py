"""Workers: one row for each life of a worker process; the row's renewal is the lease of all runs it holds."""

from django.db import models

from runs.models.fields import ClockTimestamp


class Worker(models.Model):
    """A worker process. Buried means: its runs are being recovered and nothing it writes is accepted any more."""

    id = models.UUIDField(primary_key=True, editable=False)
    host = models.CharField(max_length=255)
    version = models.CharField(max_length=64)
    capacity = models.IntegerField()
    started_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    expires_at = models.DateTimeField()
    buried_at = models.DateTimeField(null=True, blank=True)
    #: Since when it claims nothing more, and who has asked for it; null and "": it takes runs.
    #: With a default of the database's: workers of the former version insert rows while this one is rolled out.
    draining_at = models.DateTimeField(null=True, blank=True)
    draining_by = models.CharField(max_length=255, default="", db_default="", blank=True)

    class Meta:
        permissions = [("drain_worker", "Can drain and resume workers")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(draining_at=None, draining_by="")
                | models.Q(draining_at__isnull=False) & ~models.Q(draining_by=""),
                name="runs_worker_draining_by",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=models.Q(buried_at=None), name="runs_worker_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.host} ({self.id})"
