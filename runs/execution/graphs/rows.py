"""LangGraph's PostgreSQL checkpointer on the executor's connection, without the rows of runs that were rolled back."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.base import SELECT_SQL
from psycopg import Cursor
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from runs.services.graph_rows import CHECKPOINT_IS_GIVEN_UP, WRITE_IS_GIVEN_UP
from runs.statements import Statement, execute

#: Of what several runs have written for one task, the last that was not given up.
_WRITES = f"""(
        select array_agg(array[
            task::bytea, channel::bytea, type::bytea, blob, convert_to(task_path, 'UTF8'), idx::text::bytea
        ])
        from (
            select distinct on (task, cw.idx) split_part(cw.task_id, '/', 1) as task, cw.*
            from checkpoint_writes cw
            where cw.thread_id = checkpoints.thread_id
                and cw.checkpoint_ns = checkpoints.checkpoint_ns
                and cw.checkpoint_id = checkpoints.checkpoint_id
                and not {WRITE_IS_GIVEN_UP}
            order by task, cw.idx, coalesce(nullif(split_part(cw.task_id, '/', 2), ''), '0')::bigint desc
        ) as latest
    ) as pending_writes
from checkpoints """  # noqa: S608 - our names


@contextmanager
def executors_cursor() -> Iterator[Cursor[DictRow]]:
    """Not Django's cursor, which binds on the client's side and would not take what LangGraph gives it."""
    execute()  # what waits
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection, row_factory=dict_row) as cursor:
        cursor.format = 1  # type: ignore[assignment] # binary, as LangGraph's own
        yield cursor


class _Recorder:
    """A cursor that keeps what it is to execute, as it is now: the graph goes on with its objects, and changes them."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    def execute(self, query: str, values: Sequence[Any]) -> None:
        self.executemany(query, [values])

    def executemany(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        sql = query.strip(" \n;")
        self.statements += [Statement(sql, [_frozen(value) for value in row], kept=True) for row in rows]


def _frozen(value: Any) -> Any:
    """JSON as its text, which the column takes as it does JSON."""
    return json.dumps(value.obj) if isinstance(value, Jsonb) else value


class VisibleRows(PostgresSaver):
    """Reads what is visible, and says how to write: only for threads whose connection is the executor's."""

    SELECT_SQL = SELECT_SQL[: SELECT_SQL.rindex("(\n        select\n        array_agg(array[cw.")] + _WRITES

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type] # the connection is asked for at each use

        self._recorder: _Recorder | None = None

    @contextmanager
    def _cursor(self, *, pipeline: bool = False) -> Iterator[Cursor[DictRow]]:
        if self._recorder is not None:
            yield self._recorder  # type: ignore[misc] # as much of a cursor as LangGraph's writes need
            return
        with executors_cursor() as cursor:
            yield cursor

    def recorded(self, write: Callable[[], object]) -> Callable[[], Sequence[Statement]]:
        """What gives the statements that a call of `put` or `put_writes` would execute now."""
        recorder = self._recorder = _Recorder()
        try:
            write()
        finally:
            self._recorder = None
        return lambda: recorder.statements

    def latest_of(self, thread_id: str, ids: Sequence[str]) -> str | None:
        """The first of these checkpoints of the root graph that LangGraph knows."""
        with self._cursor() as cursor:
            cursor.execute(
                "SELECT checkpoint_id FROM checkpoints WHERE thread_id = %s AND checkpoint_ns = '' "
                "AND checkpoint_id = ANY(%s) ORDER BY array_position(%s::text[], checkpoint_id) LIMIT 1",
                (thread_id, list(ids), list(ids)),
            )
            found = cursor.fetchone()
        return None if found is None else str(found["checkpoint_id"])

    def visible(
        self,
        thread_id: str,
        namespace: str,
        roots: Sequence[str],
        *,
        checkpoint_id: str | None = None,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[CheckpointTuple]:
        """Checkpoints of a namespace that these checkpoints of the root graph lead to, the latest first."""
        root = "checkpoint_id" if namespace == "" else "metadata -> 'parents' ->> ''"
        where = [f"thread_id = %s AND checkpoint_ns = %s AND NOT {CHECKPOINT_IS_GIVEN_UP}"]
        values: list[Any] = [thread_id, namespace]
        if checkpoint_id is not None:
            where.append("checkpoint_id = %s")
            values.append(checkpoint_id)
        else:
            where.append(f"{root} = ANY(%s)")
            values.append(list(roots))
        if before is not None:
            where.append("checkpoint_id < %s")
            values.append(before)
        if metadata:
            where.append("metadata @> %s")
            values.append(Jsonb(dict(metadata)))
        query = f"{self.SELECT_SQL} WHERE {' AND '.join(where)} ORDER BY checkpoint_id DESC"
        if limit is not None:
            query += " LIMIT %s"
            values.append(limit)
        with self._cursor() as cursor:
            cursor.execute(query.encode(), values)
            return [self._load_checkpoint_tuple(row) for row in cursor.fetchall()]

    def answered_by(self, thread_id: str, checkpoint_id: str, layer: str) -> set[str]:
        """Tasks of a checkpoint for which this run has stored answers or results."""
        with self._cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT split_part(task_id, '/', 1) AS task FROM checkpoint_writes "
                "WHERE thread_id = %s AND checkpoint_ns = '' AND checkpoint_id = %s AND task_id LIKE %s",
                (thread_id, checkpoint_id, f"%{layer}"),
            )
            return {str(row["task"]) for row in cursor.fetchall()}

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """By walking the checkpoints: LangGraph's own statement would read writes that were given up."""
        return BaseCheckpointSaver.get_delta_channel_history(self, config=config, channels=channels)
