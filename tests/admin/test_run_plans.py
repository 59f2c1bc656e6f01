"""With many runs the list is found by indexes: no plan reads the table or sorts it."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runs.admin.run_actions import Result
from runs.admin.run_filters import RunFilter
from runs.models import Run
from runs.states import RunStatus
from tests.support.factories import finish, make_actor, make_thread, running
from tests.support.scale import rounds

ROWS = reverse("admin:runs_run_rows")
MANY = rounds(200_000)


@pytest.fixture
def many() -> Run:
    """A run, and many more on other threads: of ten assistants, one in a hundred failed."""
    run = finish(running(make_thread(make_actor("ada"))))
    columns = [str(field.column) for field in Run._meta.concrete_fields]
    own = {
        "id": "gen_random_uuid()",
        "sequence": "1000000 + n",
        "assistant": "'assistant ' || n % 10",
        "status": "CASE WHEN n % 100 = 0 THEN 'error' ELSE 'success' END",
        "error": """CASE WHEN n % 100 = 0 THEN jsonb_build_object('type', 'KeyError', 'message', 'x') END""",
        "created_at": "created_at - n * interval '1 second'",
    }
    selected = ", ".join(own.get(column, column) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO runs_run ({', '.join(columns)}) SELECT {selected} FROM runs_run, generate_series(1, {MANY}) n"
        )
        cursor.execute("ANALYZE runs_run")
    return run


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())


QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"status": "error"},
    {"status": "active"},
    {"status": "stopping"},
    {"assistant": "assistant 3"},
    {"owner": "ada"},
    {"error": "KeyError"},
    {"age": "1h"},
    {"assistant": "assistant 3", "status": "success"},
    {"before": "2100-01-01T00:00:00+00:00~5"},
    {"after": "2000-01-01T00:00:00+00:00~5"},
)


#: What no index leads to, alone and with what one leads to.
UNLED: tuple[dict[str, str], ...] = (
    {"strategy": "rollback"},
    {"strategy": "enqueue", "age": "7d"},
    {"worker": "host"},
    {"strategy": "rollback", "assistant": "assistant 3"},
    {"error": "KeyError", "assistant": "assistant 3"},
)
EXAMINED = 500


def read_by(statement: str) -> float:
    """The rows of the table that it looks at, whether they match or not."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {statement}")
        found = cursor.fetchone()[0]
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return sum((_read(node) for node in _nodes(plan)), 0.0)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _read(node: dict[str, Any]) -> float:
    if node.get("Relation Name") != "runs_run":
        return 0
    return float((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])


@pytest.mark.usefixtures("many")
def test_counting_looks_at_a_bounded_number_of_rows_whatever_is_asked_for(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each status; the table has many times as many."""
    monkeypatch.setattr("runs.admin.run_counts.EXAMINE_AT_MOST", EXAMINED)
    for query in (*QUERIES, *UNLED):
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(ROWS, query).status_code == 200
        (counting,) = (each["sql"] for each in captured if "ARRAY[COUNT" in each["sql"])
        counting = counting.split("; ")[1]  # between setting the time that it may take and setting it back
        assert read_by(counting) <= (len(RunStatus) + 1) * EXAMINED, query


@pytest.mark.usefixtures("many")
def test_counting_what_matches_looks_at_all_rows() -> None:
    """The negative control: what is bounded here is what matches, of which there may be none."""
    wanted = RunFilter.parse(QueryDict("strategy=rollback"))
    rows: Any = Run.objects.filter(wanted.condition).values("pk")[:EXAMINED]
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        assert read_by(cursor.mogrify(sql, params)) > MANY


#: What an index answers in part or not at all, and what several answer together.
SEARCHES = (
    "strategy:rollback",
    "-assistant:echo strategy:rollback",
    "metadata.customer:acme",
    "model:none",
    "reason:nowhere by:nobody",
    "ran:>10m",
    "waited:>10m OR ran:<0s",
    "error:KeyError ran:>10m",
    'assistant:"assistant 3" model:none',
    "status:success strategy:rollback",
    "status:error OR status:timeout model:none",
    "status:error OR model:none",
    "status:active waited:>10d",
    "owner:ada model:none",
    'assistant:"assistant 3" OR assistant:"assistant 4" model:none',
    "created:<1h model:none",
)


def reading(captured: CaptureQueriesContext) -> list[str]:
    """The statements that look at runs, but for the counts."""
    statements = [each["sql"] for each in captured if 'FROM "runs_run"' in each["sql"]]
    return [sql for sql in statements if "ARRAY[COUNT" not in sql]


@pytest.mark.usefixtures("many")
def test_a_page_looks_at_a_bounded_number_of_runs_whatever_is_asked_for(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for the place where the search ends and once for what matches, of each thing that an index leads to."""
    monkeypatch.setattr("runs.admin.run_scan.LATEST", EXAMINED)
    queries = [*UNLED, *({"q": text} for text in SEARCHES)]
    assert len(queries) == 21
    for query in queries:
        with CaptureQueriesContext(connection) as captured:
            page = operator.get(ROWS, query)
        assert page.context["wanted"].mistakes == []
        read = sum(read_by(sql) for sql in reading(captured))
        assert read <= 2 * 2 * (EXAMINED + 1) + 10, (query, read)


@pytest.mark.usefixtures("many")
def test_a_portion_of_an_action_looks_at_a_bounded_number_of_runs_whatever_is_asked_for(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a page does: in that order, and up to the place that the count gave."""
    monkeypatch.setattr("runs.admin.run_scan.LATEST", EXAMINED)
    monkeypatch.setattr("runs.admin.run_bulk.carry_out", lambda *_, **__: Result(True, ""))
    for query in (*UNLED, *({"q": text} for text in SEARCHES)):
        asked = {"filter": f"?{urlencode(query)}"}
        count = operator.post(reverse("admin:runs_run_count", args=["retry"]), asked).json()
        with CaptureQueriesContext(connection) as captured:
            answer = operator.post(reverse("admin:runs_run_act", args=["retry"]), {**asked, "bound": count["bound"]})
        assert answer.status_code == 200
        read = sum(read_by(sql) for sql in reading(captured))
        assert read <= 2 * 2 * (EXAMINED + 1) + 2 * 101, (query, read)


@pytest.mark.usefixtures("many")
def test_a_portion_of_what_one_index_leads_to_reads_it_in_order(operator: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("runs.admin.run_bulk.carry_out", lambda *_, **__: Result(True, ""))
    monkeypatch.setattr("runs.admin.run_bulk.BATCH", 10)  # few of those that match, also in a small table
    for query in ("status=success", "assistant=assistant+3", "owner=ada", "error=KeyError", "age=1h"):
        with CaptureQueriesContext(connection) as captured:
            answer = operator.post(reverse("admin:runs_run_act", args=["retry"]), {"filter": f"?{query}"})
        assert answer.json()["done"] == 10, query
        (portion,) = reading(captured)
        assert read_by(portion) <= 2 * 11, query
        assert "Sort Key: runs_run" not in plan_of(portion), query


@pytest.mark.usefixtures("many")
def test_a_page_without_the_bound_looks_at_all_runs(operator: Client) -> None:
    """The negative control: the bound is larger than the table."""
    with CaptureQueriesContext(connection) as captured:
        assert operator.get(ROWS, {"strategy": "rollback"}).context["wanted"].bound is None
    assert sum(read_by(sql) for sql in reading(captured)) > MANY


@pytest.mark.usefixtures("many")
def test_no_list_reads_or_sorts_the_table(operator: Client) -> None:
    for query in QUERIES:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(ROWS, query).status_code == 200
        listing = [
            q["sql"] for q in captured if q["sql"].startswith('SELECT "runs_run"."id"') and "LIMIT 51" in q["sql"]
        ]
        assert len(listing) == 1, query
        plan = plan_of(listing[0])
        assert "Seq Scan on runs_run" not in plan, (query, plan)
        assert "external" not in plan, (query, plan)
        if "active" not in query.values() and "stopping" not in query.values():  # few rows, sorted at once
            assert "Sort Key: runs_run" not in plan, (query, plan)


@pytest.mark.usefixtures("many")
def test_a_plan_that_has_no_index_is_seen() -> None:
    """The negative control of the test above."""
    rows: Any = RunFilter.parse(QueryDict("strategy=enqueue")).runs().order_by("-updated_at")[:51]
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        plan = plan_of(cursor.mogrify(sql, params))
    assert "Seq Scan on runs_run" in plan
