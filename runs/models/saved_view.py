"""What operators look at again and again: a filter of the list of runs, under a name."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from runs.models.fields import ClockTimestamp


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    """Readable filters over views."""

    def offered_to(self, user: Any) -> Self:
        """One's own, and those that others share who can still log in."""
        return self.filter(Q(owner=user) | Q(shared=True, owner__is_active=True))


class SavedView(models.Model):
    """A filter that an operator has named. It holds no runs and grants nothing: it is read as its address would be."""

    LONGEST_NAME, LONGEST_QUERY = 60, 4000

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=LONGEST_NAME)
    #: The query string of the list, without "?": only parameters that the list knows.
    query = models.CharField(max_length=LONGEST_QUERY)
    #: Whether all who see runs are offered it.
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        # Views of one's own belong to seeing runs. Only what others are shown is asked for.
        default_permissions = ()
        permissions = [("share_savedview", "Can share saved views with all who see runs")]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="runs_savedview_one_of_a_name"),
            models.CheckConstraint(condition=~Q(name="") & ~Q(query=""), name="runs_savedview_says_something"),
        ]
        indexes = [models.Index(fields=["name"], condition=Q(shared=True), name="runs_savedview_shared")]

    def __str__(self) -> str:
        return self.name
