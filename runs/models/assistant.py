"""Assistants: what can be executed, and the settings of their own that people give it."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from runs.models.fields import ClockTimestamp, new_id


class Graph(models.Model):
    """A function or a LangGraph graph, as a process that has its code has described it.

    So web processes and the scheduler know what they cannot import.
    """

    name = models.CharField(max_length=128, primary_key=True)
    description = models.TextField(default="", blank=True)
    #: A function has no nodes: what is said of nodes is refused.
    is_function = models.BooleanField(default=False)
    timeout_seconds = models.FloatField(null=True, blank=True)
    #: {"input_schema", "output_schema", "state_schema", "config_schema", "context_schema"}: JSON schemas, or null.
    schemas = models.JSONField(default=dict, blank=True)
    #: {"nodes", "edges"} by how many levels of subgraphs are opened; the last has all of them open.
    drawings = models.JSONField(default=list, blank=True)
    #: namespace -> its schemas; a subgraph in a subgraph is "outer|inner".
    subgraphs = models.JSONField(default=dict, blank=True)
    #: Why nobody could describe it, for people; empty: it is described.
    problem = models.TextField(default="", blank=True)
    described_at = models.DateTimeField(db_default=ClockTimestamp())

    def __str__(self) -> str:
        return self.name


class AssistantContent(models.Model):
    """What a version of an assistant says. `context` is also what its `config` shows as `configurable`."""

    graph_id = models.CharField(max_length=128)
    name = models.CharField(max_length=255)
    description = models.TextField(null=True, blank=True)  # noqa: DJ001 - null: nothing was said
    config = models.JSONField(default=dict, blank=True)
    context = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        abstract = True

    def content(self) -> dict[str, Any]:
        """The columns that every version has."""
        return {field.name: getattr(self, field.name) for field in AssistantContent._meta.get_fields()}


class AssistantQuerySet(models.QuerySet["Assistant"]):
    """Readable filters over assistants."""

    def visible_to(self, owner: Any) -> Self:
        """The server's own assistants and those of this owner; owner None sees those of everyone."""
        return self if owner is None else self.filter(Q(owner=None) | Q(owner=owner))


class Assistant(AssistantContent):
    """A graph under settings of its own; the content is that of the version which is in force.

    `owner` null: the server's own, one for each graph.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=ClockTimestamp())

    objects = AssistantQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(version__gte=1), name="runs_assistant_version_sane")]
        indexes = [models.Index(fields=["owner", "-created_at", "-id"], name="runs_assistant_newest_of_owner")]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


class AssistantVersion(AssistantContent):
    """What an assistant once said. Never changes."""

    assistant = models.ForeignKey(Assistant, on_delete=models.CASCADE, related_name="versions")
    version = models.IntegerField()
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assistant", "version"], name="runs_assistant_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.assistant_id} version {self.version}"
