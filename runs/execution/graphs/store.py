"""LangGraph's PostgreSQL store for the graphs of an attempt: memory across threads, which no rollback undoes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from langgraph.store.base import Op, PutOp, Result, TTLConfig
from langgraph.store.postgres import PostgresStore
from psycopg import Cursor
from psycopg.rows import DictRow

from runs.assistants.graphs.project import GraphProject
from runs.execution.graphs.rows import executors_cursor
from runs.execution.graphs.scribe import scribe
from runs.models import Run
from runs.services.graph_writes import GraphWrite, put_graph_writes
from runs.statements import pipelined

T = TypeVar("T")


class Host(Protocol):
    """The executor, as far as a store needs it."""

    def persist(self, job: Callable[[], T]) -> T:
        """Do the job on the executor's connection until the database has answered, or raise the interruption."""


class FencedStore(PostgresStore):
    """Reads and writes through the scribe, so that no interruption hits a transaction.

    An attempt that has been stopped writes nothing any more; what it has written before stays.
    """

    def __init__(self, run: Run, project: GraphProject, host: Host) -> None:
        ttl = TTLConfig(**project.store_ttl, omit_expired=True) if project.store_ttl else None  # type: ignore[typeddict-item]
        super().__init__(None, ttl=ttl)  # type: ignore[arg-type] # the connection is asked for at each use
        self._run, self._host = run, host

    @contextmanager
    def _cursor(self, *, pipeline: bool = False) -> Iterator[Cursor[DictRow]]:
        with executors_cursor() as cursor:
            yield cursor

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do these operations. Raises the interruption if the attempt is fenced."""
        asked = list(ops)
        return scribe.do(lambda: self._do(asked))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same for a graph in an event loop."""
        asked = list(ops)
        return await scribe.ado(lambda: self._do(asked))

    def _do(self, asked: list[Op]) -> list[Result]:
        if not any(isinstance(op, PutOp) for op in asked):
            return self._host.persist(lambda: PostgresStore.batch(self, asked))
        results: list[Result] = []

        def store() -> None:
            with pipelined():
                results[:] = PostgresStore.batch(self, asked)

        run, writes = self._run, [GraphWrite(store=store)]
        self._host.persist(
            lambda: put_graph_writes(run_id=run.pk, thread_id=run.thread_id, attempt=run.attempt, writes=writes)
        )
        return results
