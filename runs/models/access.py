"""Who may call, and what was already asked for."""

from django.conf import settings
from django.db import models

from runs.models.fields import ClockTimestamp


class ApiKey(models.Model):
    """A key for the REST API. Only its hash is stored; the prefix is shown so that people can tell keys apart."""

    name = models.CharField(max_length=100)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    prefix = models.CharField(max_length=16, editable=False)
    #: SHA-256 in hex. Keys are random, not chosen by people, so a slow hash would add nothing.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotencyKey(models.Model):
    """The key of a create that was accepted; a replay presents the run it made."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    route = models.CharField(max_length=255)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    run = models.ForeignKey("runs.Run", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "route", "key"], name="runs_idempotency_key_once"),
        ]
        indexes = [models.Index(fields=["created_at"], name="runs_idempotency_age")]

    def __str__(self) -> str:
        return self.key
