"""How PostgreSQL executes the very statements that a service sends: explained as they pass, then undone and sent."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from django.db import connection, transaction
from psycopg import Cursor

from runs.execution.graphs import rows
from runs.prepared import STEADY
from runs.statements import SEPARATOR

EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
#: Gets what executes the statement, the statement, and its values; returns what the first has returned.
Watch = Callable[[Callable[[], Any], str, Any], Any]
EXPLAINABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@dataclass(frozen=True)
class Plan:
    """One statement as it was executed."""

    sql: str
    #: Nodes that touch a table, with their indexes, in the plan's order, and the pages each has looked at.
    nodes: tuple[tuple[str, int], ...]
    #: Pages of 8 KiB that were looked at; a page that is looked at twice counts twice.
    buffers: int

    @property
    def shape(self) -> tuple[str, ...]:
        """The nodes without their pages."""
        return tuple(name for name, _ in self.nodes)


@contextmanager
def undone() -> Iterator[None]:
    """A transaction that is rolled back, in which services begin theirs, which insist on being outermost.

    Who reads for many at once gives the connection back; here it is in use.
    """
    with patch("runs.streaming.rows.close_old_connections"), transaction.atomic():
        transaction.get_connection().atomic_blocks[-1]._from_testcase = True
        yield
        transaction.set_rollback(True)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """In this block every statement goes through `watch`: those of Django's connection, and LangGraph's on it."""

    def by_django(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        return watch(lambda: execute(sql, params, many, context), sql, params)

    class OfLangGraph(Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            sql = query.decode() if isinstance(query, bytes) else query
            return watch(lambda: super(OfLangGraph, self).execute(query, params, **options), sql, params)

    with connection.execute_wrapper(by_django), patch.object(rows, "Cursor", OfLangGraph):
        yield


@contextmanager
def explained() -> Iterator[list[Plan]]:
    """The plans of what is executed in this block, inside a transaction that is open already.

    As in a transaction of its own: what was sent before has left its settings.
    """
    plans: list[Plan] = []
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in STEADY))

    def explain(execute: Callable[[], Any], sql: str, params: Any) -> Any:
        plans.extend(
            _plan(one, values) for one, values in _apart(sql, params) if one.lstrip().upper().startswith(EXPLAINABLE)
        )
        return execute()

    with watched(explain):
        yield plans


def _apart(sql: str, params: Any) -> Iterator[tuple[str, Any]]:
    """What was sent together, with the values of each."""
    if SEPARATOR not in sql:
        yield sql, params
        return
    values = iter(params)
    for one in sql.split(SEPARATOR):
        yield one, [next(values) for _ in range(one.count("%s"))]


def _plan(sql: str, params: Any) -> Plan:
    """By psycopg's own cursor: Django's would be explained in its turn."""
    with connection.connection.cursor() as cursor:
        cursor.execute("SAVEPOINT explained")
        cursor.execute(f"{EXPLAIN} {sql}", params)
        (answer,) = cursor.fetchone()
        cursor.execute("ROLLBACK TO SAVEPOINT explained; RELEASE SAVEPOINT explained")
        if sql.startswith("SELECT set_config"):  # what is sent with it is planned after it
            cursor.execute(sql, params)
    found = answer if isinstance(answer, list) else json.loads(answer)
    root = found[0]["Plan"]
    return Plan(sql, tuple(_nodes(root)), _pages(root))


def _nodes(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    names = [node[name] for name in ("Index Name", "Relation Name") if name in node]
    below = node.get("Plans", [])
    if names or node["Node Type"] in ("Sort", "Incremental Sort"):
        yield " ".join([node["Node Type"], *names[:1]]), _pages(node) - sum(map(_pages, below))
    for child in below:
        yield from _nodes(child)


def _pages(node: dict[str, Any]) -> int:
    """Of the node with all below it."""
    return int(node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0))
