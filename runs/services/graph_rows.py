"""LangGraph's tables, where they are not LangGraph's own business: whose rows go, and whose are copied.

A checkpoint names the run that wrote it in its metadata. A pending write names it in its task id, which is
"<task>/<sequence of the run>/<run>": what two runs write for one task stands side by side, so that the first is still
there when the second is rolled back. In a copied thread both name runs of the original, which cannot give them up.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection

from runs.models import Run

CHECKPOINTS, BLOBS, WRITES = "checkpoints", "checkpoint_blobs", "checkpoint_writes"
TABLES = (CHECKPOINTS, BLOBS, WRITES)


def layer_of(run: Run) -> str:
    """What the run adds to the ids of its tasks."""
    return f"/{run.sequence}/{run.pk}"


def _is_given_up(run_id: str, thread_id: str) -> str:
    """The run is found by its primary key: comparing texts would read all runs there are, for every row."""
    return f"""EXISTS (
    SELECT 1 FROM runs_run r WHERE r.rolled_back_at IS NOT NULL AND r.thread_id::text = {thread_id}
    AND r.id = CASE WHEN {run_id} ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN ({run_id})::uuid END
)"""  # noqa: S608 - our names


#: Of a row `checkpoints`: its run was rolled back.
CHECKPOINT_IS_GIVEN_UP = _is_given_up("checkpoints.metadata ->> 'run_id'", "checkpoints.thread_id")
#: Of a row `cw` of the pending writes.
WRITE_IS_GIVEN_UP = _is_given_up("split_part(cw.task_id, '/', 3)", "cw.thread_id")


def tables_exist() -> bool:
    """Whether this database has LangGraph's tables; without LangGraph it need not."""
    return bool(_execute("SELECT to_regclass('checkpoint_writes') IS NOT NULL", [])[0][0])


def remove_expired_items(limit: int = 1000) -> int:
    """Remove what graphs have stored for a time that is over; returns how many went."""
    if not _execute("SELECT to_regclass('store') IS NOT NULL", [])[0][0]:
        return 0
    gone = "SELECT prefix, key FROM store WHERE expires_at < statement_timestamp() LIMIT %s FOR UPDATE SKIP LOCKED"
    statement = f"DELETE FROM store WHERE (prefix, key) IN ({gone}) RETURNING 1"  # noqa: S608 - our own words
    return len(_execute(statement, [limit]))


def remove_rows_of_thread(thread_id: UUID) -> None:
    """Remove all that LangGraph has stored of a thread."""
    if tables_exist():
        for table in TABLES:
            _execute(f"DELETE FROM {table} WHERE thread_id = %s", [str(thread_id)])  # noqa: S608 - our name


def remove_rows_of_run(thread_id: UUID, run_id: UUID) -> None:
    """Remove what a run that was given up has stored, and what only it needed."""
    if not tables_exist():
        return
    thread, run = str(thread_id), str(run_id)
    _execute(f"DELETE FROM {CHECKPOINTS} WHERE thread_id = %s AND metadata ->> 'run_id' = %s", [thread, run])  # noqa: S608
    _execute(f"DELETE FROM {WRITES} WHERE thread_id = %s AND split_part(task_id, '/', 3) = %s", [thread, run])  # noqa: S608
    _execute(
        f"DELETE FROM {BLOBS} b WHERE thread_id = %s AND NOT EXISTS ("  # noqa: S608 - our names
        f"SELECT 1 FROM {CHECKPOINTS} c WHERE c.thread_id = b.thread_id AND c.checkpoint_ns = b.checkpoint_ns "
        "AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version)",
        [thread],
    )


def adopt_rows(run: Run, root: UUID, former: Iterable[str]) -> None:
    """Subgraphs' checkpoints of the run that hang under these of the root graph hang under `root` from now on."""
    _execute(
        f"UPDATE {CHECKPOINTS} SET metadata = jsonb_set(metadata, ARRAY['parents', ''], to_jsonb(%s::text)) "  # noqa: S608
        "WHERE thread_id = %s AND checkpoint_ns <> '' AND metadata ->> 'run_id' = %s "
        "AND metadata -> 'parents' ->> '' = ANY(%s)",
        [str(root), str(run.thread_id), str(run.pk), [*former]],
    )


def copy_rows(source: UUID, copy: UUID, roots: Iterable[UUID]) -> None:
    """Copy the rows of these checkpoints of the root graph, and of subgraphs called from them, to another thread.

    Under the same ids: LangGraph derives those of tasks, interrupts and subgraphs from them.
    """
    kept = [str(root) for root in roots]
    if kept and tables_exist():
        for statement in (_COPY_CHECKPOINTS, _COPY_WRITES, _COPY_BLOBS):
            _execute(statement, {"copy": str(copy), "source": str(source), "kept": kept})


_COPY_CHECKPOINTS = f"""
INSERT INTO {CHECKPOINTS} (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
SELECT %(copy)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata FROM {CHECKPOINTS}
WHERE thread_id = %(source)s AND NOT {CHECKPOINT_IS_GIVEN_UP}
    AND CASE WHEN checkpoint_ns = '' THEN checkpoint_id ELSE metadata -> 'parents' ->> '' END = ANY(%(kept)s)
"""  # noqa: S608 - our names
_COPY_WRITES = f"""
INSERT INTO {WRITES} (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
SELECT c.thread_id, cw.checkpoint_ns, cw.checkpoint_id, cw.task_id, cw.task_path, cw.idx, cw.channel, cw.type, cw.blob
FROM {WRITES} cw
JOIN {CHECKPOINTS} c ON c.thread_id = %(copy)s AND (c.checkpoint_ns, c.checkpoint_id)
    = (cw.checkpoint_ns, cw.checkpoint_id)
WHERE cw.thread_id = %(source)s AND NOT {WRITE_IS_GIVEN_UP}
"""  # noqa: S608 - our names
_COPY_BLOBS = f"""
INSERT INTO {BLOBS} (thread_id, checkpoint_ns, channel, version, type, blob)
SELECT DISTINCT c.thread_id, b.checkpoint_ns, b.channel, b.version, b.type, b.blob
FROM {BLOBS} b JOIN {CHECKPOINTS} c ON c.thread_id = %(copy)s AND c.checkpoint_ns = b.checkpoint_ns
    AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version
WHERE b.thread_id = %(source)s
"""  # noqa: S608 - our names


def _execute(statement: str, values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
