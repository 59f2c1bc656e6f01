"""Threads: what runs run on. The thread's row is the lock that every change of its runs takes first."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from runs.models.compared import Compared
from runs.models.fields import ClockTimestamp, new_id
from runs.states import ThreadStatus


class ThreadQuerySet(models.QuerySet["Thread"]):
    """Readable filters over threads."""

    def visible_to(self, owner: Any) -> Self:
        """Threads of this owner that are not deleted; owner None sees those of everyone. For what is found by id."""
        found = self.filter(deleted_at=None)
        return found if owner is None else found.filter(Compared(owner=owner))

    def listed_for(self, owner: Any) -> Self:
        """The same for lists, which are found by the owner."""
        found = self.visible_to(None)
        return found if owner is None else found.filter(owner=owner)


class Thread(models.Model):
    """A conversation, an order, a document: one state, at most one run that writes it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    status = models.CharField(max_length=16, choices=ThreadStatus, default=ThreadStatus.IDLE)
    metadata = models.JSONField(default=dict, blank=True)
    config = models.JSONField(default=dict, blank=True)
    head = models.ForeignKey(
        "runs.Checkpoint", null=True, blank=True, on_delete=models.SET_NULL, related_name="head_of"
    )
    error = models.JSONField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=ClockTimestamp())
    state_updated_at = models.DateTimeField(db_default=ClockTimestamp())

    objects = ThreadQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ThreadStatus.values), name="runs_thread_status_known"),
        ]
        indexes = [
            # The console's lists: the latest changed of all, and of a status.
            models.Index(fields=["-updated_at", "-id"], name="runs_thread_newest"),
            models.Index(fields=["status", "-updated_at", "-id"], name="runs_thread_newest_of_status"),
            models.Index(fields=["owner", "-updated_at", "-id"], name="runs_thread_newest_of_owner"),
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="runs_thread_deleted"),
        ]

    def __str__(self) -> str:
        return str(self.id)
