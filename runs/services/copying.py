"""Copying a thread: its metadata, its state and the states before it; not its runs."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from runs.actors import Actor
from runs.locks import LockedThread, lock_thread
from runs.models import Checkpoint, SubgraphCheckpoint, Thread
from runs.models.fields import new_checkpoint_id, new_id
from runs.services.graph_rows import copy_rows
from runs.services.history import langgraph_ids, lineage_ids
from runs.services.transition import move_head, refresh_thread
from runs.transactions import atomic


@atomic()
def copy_thread(*, thread_id: UUID, actor: Actor) -> Thread:
    """Return a new thread of the same owner; of a run in flight it has the steps finished so far.

    Raises ThreadNotFound. The checkpoints are copied, too, under new ids: what happens to one thread later does not
    touch the other.
    """
    source = lock_thread(thread_id, owner=actor.owner)
    thread = Thread.objects.create(owner=source.thread.owner, metadata=source.thread.metadata)
    copied = LockedThread(thread=thread, now=source.now, runs=[])
    lineage = lineage_ids(source.thread.head_id)
    if (head := _copy_checkpoints(lineage, thread)) is not None:
        roots = langgraph_ids(lineage)
        copy_rows(source.thread.pk, thread.pk, roots)
        _copy_subgraphs(source.thread, thread, roots)
        move_head(copied, head)
        refresh_thread(copied)
    return Thread.objects.select_related("head").get(pk=thread.pk)


def _copy_checkpoints(newest_first: Sequence[UUID], thread: Thread) -> UUID | None:
    """Copy within the database, where the values are, and return the new head; later ones get later ids."""
    originals = list(reversed(newest_first))
    if not originals:
        return None
    copies = [new_checkpoint_id() for _ in originals]
    table = Checkpoint._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO {table} (id, thread_id, parent_id, attempt, step, "values", next, interrupts, tasks, '  # noqa: S608 - our name
            "live_values, metadata, langgraph_id) "
            'SELECT copy, %s, parent, 0, step, "values", next, interrupts, tasks, live_values, metadata, '
            "coalesce(langgraph_id, id) "
            f"FROM {table} "
            "JOIN unnest(%s::uuid[], %s::uuid[], %s::uuid[]) AS one (original, copy, parent) ON id = original",
            [thread.pk, originals, copies, [None, *copies[:-1]]],
        )
    return copies[-1]


def _copy_subgraphs(source: Thread, thread: Thread, roots: Sequence[UUID]) -> None:
    """Under the same ids, as `copy_rows` does."""
    copies = SubgraphCheckpoint.objects.kept().filter(thread=source, root__in=roots)
    for copy in copies.iterator(chunk_size=100):
        copy.pk, copy.run, copy.thread = new_id(), None, thread
        copy._state.adding = True
        copy.save(force_insert=True)
