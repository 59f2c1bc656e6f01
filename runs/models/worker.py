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

    class Meta:
        indexes = [
            models.Index(fields=["expires_at"], condition=models.Q(buried_at=None), name="runs_worker_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.host} ({self.id})"
