"""Reading the states of a graph's subgraphs. A namespace says which: "node:task", joined by "|"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.db.models import QuerySet
from django.utils.functional import cached_property

from runs.errors import CheckpointNotFound, InvalidRequest
from runs.models import Checkpoint, SubgraphCheckpoint, Thread
from runs.services.history import MAX_LIMIT, get_thread, langgraph_ids, lineage_ids


@dataclass(frozen=True)
class SubgraphStates:
    """What subgraphs held during the steps that led to a checkpoint of the root graph, and during its own."""

    thread: Thread
    #: null: an empty thread
    at: UUID | None

    @classmethod
    def of(cls, *, thread_id: UUID, owner: Any) -> Self:
        """Those that led to the thread's head. Raises ThreadNotFound."""
        thread = get_thread(thread_id=thread_id, owner=owner)
        return cls(thread, thread.head_id)

    def latest(self, namespace: str) -> SubgraphCheckpoint | None:
        """The latest state in this namespace, or None if nothing has been stored in it.

        A subgraph with a memory of its own is one for all tasks that call it, so its namespace names none.
        """
        for name in dict.fromkeys((namespace, _without_tasks(namespace))):
            if (found := self._visible(name).first()) is not None:
                return found
        return None

    def named(self, namespace: str, checkpoint_id: UUID) -> SubgraphCheckpoint:
        """A former state, also one that did not lead to the head. Raises CheckpointNotFound."""
        found = SubgraphCheckpoint.objects.kept().filter(thread=self.thread, checkpoint_id=checkpoint_id)
        one = found.filter(namespace__in=(namespace, _without_tasks(namespace))).first()
        if one is None:
            raise CheckpointNotFound
        return one

    def history(
        self, namespace: str, *, limit: int, before: UUID | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Sequence[SubgraphCheckpoint]:
        """The states in this namespace, the latest first. Raises InvalidRequest."""
        if not 0 <= limit <= MAX_LIMIT:
            raise InvalidRequest(f"limit must be between 0 and {MAX_LIMIT}")
        for name in dict.fromkeys((namespace, _without_tasks(namespace))):
            found = self._visible(name)
            if found.exists():
                earlier = found if before is None else found.filter(checkpoint_id__lt=before)
                return list(earlier.filter(metadata__contains=dict(metadata or {}))[:limit])
        return []

    def _visible(self, namespace: str) -> QuerySet[SubgraphCheckpoint]:
        found = SubgraphCheckpoint.objects.kept().filter(thread=self.thread, namespace=namespace, root__in=self._roots)
        return found.order_by("-checkpoint_id")

    @cached_property
    def _roots(self) -> list[UUID]:
        return langgraph_ids(lineage_ids(self.at))


def states_at(thread_id: UUID, checkpoint: Checkpoint) -> SubgraphStates:
    """The subgraphs of a state that has been read."""
    return SubgraphStates(Thread(pk=thread_id), checkpoint.pk)


def _without_tasks(namespace: str) -> str:
    """As LangGraph does it: a number stays, which tells calls of one task apart."""
    return "|".join(part.partition(":")[0] for part in namespace.split("|"))
