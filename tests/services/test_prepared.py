"""Plans that a session keeps: made by the indexes in a database of any size, and forgotten when they are not there."""

import re
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from django.db import DatabaseError, connection, transaction

from bench.populate import populate
from runs import prepared as module
from runs.locks import lock_thread
from runs.models import Run, Thread
from runs.prepared import steady
from runs.services import results
from runs.statements import Select, Statement, execute, update
from tests.support.factories import finish, make_run, make_thread, make_worker, step, try_claim
from tests.support.sent import messages

GROWING = ("runs_run", "runs_thread", "runs_checkpoint", "runs_runevent", "runs_worker")
#: What a kept statement says, and the index by which it finds its rows; all others go by a key.
FOUND_BY = {
    "ORDER BY sequence": "runs_run_unsettled",
    "ORDER BY finished_at": "runs_run_last_finished",
    "ORDER BY step": "runs_checkpoint_of_run",
}
THREADS, RUNS = Select(Thread, "WHERE id = %s"), Select(Run, "WHERE thread_id = %s ORDER BY sequence")


def a_run() -> None:
    """Everything that a run costs, on a thread of its own."""
    thread, worker = make_thread(), make_worker()
    run = make_run(thread)
    claimed = try_claim(run, worker)
    assert claimed is not None
    step(claimed, a=1)
    results.find_result(run.pk)
    finish(claimed, b=2)
    results.find_result(run.pk)


def runs_of_a_session() -> None:
    """What is sent for the second time is prepared; when the first is sent it is not known yet who answers."""
    for _ in range(3):
        a_run()


def names() -> dict[str, str]:
    """What this session has prepared, as we know it: the name of each SQL."""
    found: dict[str, str] = connection.connection._runs_session.prepared._names
    return found


def plans() -> dict[str, str]:
    """The plan of each, by its SQL, as the session has it."""
    found = {}
    with transaction.atomic(), connection.cursor() as cursor:
        execute(steady())
        for sql, name in names().items():
            values = f"({', '.join(['NULL'] * sql.count('%s'))})" if "%s" in sql else ""
            cursor.execute(f"EXPLAIN EXECUTE {name}{values}")
            found[sql] = "\n".join(line for (line,) in cursor.fetchall())
    return found


def read_otherwise(found: dict[str, str]) -> list[str]:
    """Those that read a growing table by something else than the index that is wanted."""
    wrong = []
    for sql, plan in found.items():
        wanted = next((index for words, index in FOUND_BY.items() if words in sql), "_pkey")
        used = re.findall(r"using (\w+) on (\w+)", plan)
        last = {index for index, table in used if table in GROWING and not index.endswith("_pkey")}
        whole = re.findall(rf"Seq Scan on ({'|'.join(GROWING)})\b", plan) + re.findall("Bitmap", plan)
        if whole or (last and last != {wanted}) or (wanted != "_pkey" and not last):
            wrong.append(plan)
    return wrong


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ANALYZE; SET CONSTRAINTS ALL DEFERRED")


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(f"TRUNCATE {', '.join(GROWING)} CASCADE")
    analyze()


def just_grown() -> None:
    """As large as it has to be, while the statistics say that it is empty."""
    empty()
    populate(runs=2_000, events=6_000)


def large() -> None:
    just_grown()
    analyze()


@pytest.fixture(autouse=True)
def fresh() -> None:
    """A session that has prepared nothing yet, in a transaction of this test."""
    connection.ensure_connection()
    connection.connection.__dict__.pop("_runs_session", None)
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")


@pytest.mark.parametrize("size", [just_grown, large], ids=lambda size: size.__name__)
def test_every_kept_plan_finds_its_rows_by_its_index(size: Callable[[], None]) -> None:
    size()
    runs_of_a_session()
    found = plans()
    assert len(found) > 20
    for words in FOUND_BY:
        assert [sql for sql in found if words in sql], words
    assert read_otherwise(found) == []


def test_what_was_prepared_while_there_were_few_runs_is_prepared_anew_when_there_are_many() -> None:
    """Among few any index is as good as the right one; statistics do not say yet that they have become many."""
    empty()
    runs_of_a_session()
    few = dict(names())
    assert len(few) > 20
    just_grown()
    runs_of_a_session()
    assert few.keys() <= names().keys()
    assert not set(few.values()) & set(names().values())
    assert read_otherwise(plans()) == []


def test_a_plan_that_is_made_without_steady_reads_all_of_a_small_table(
    grown: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: these would be kept while the tables grow."""
    monkeypatch.setattr(module, "STEADY", {"plan_cache_mode": "force_generic_plan"})
    empty()
    runs_of_a_session()
    analyze()
    assert any("Seq Scan on runs_" in plan for plan in read_otherwise(plans()))


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements are prepared, whatever there is."""
    monkeypatch.setattr(module, "GROWN", 0)


def test_nothing_is_prepared_that_is_sent_once(grown: None) -> None:
    thread = make_thread()
    with transaction.atomic():
        lock_thread(thread.pk)
    before = set(names())
    with transaction.atomic():
        lock_thread(thread.pk)
    assert before == set()
    assert names() != {}
    assert not any(sql.startswith("INSERT") for sql in names())


def test_nothing_is_prepared_if_the_setting_says_so(grown: None, settings: Any) -> None:
    settings.RUNS = {**settings.RUNS, "PREPARED_STATEMENTS": False}
    runs_of_a_session()
    assert names() == {}


def test_nothing_is_prepared_behind_a_pooler(grown: None) -> None:
    """It gives a number of its own in place of that of the server process, which may be another one each time."""
    with patch.object(type(connection.connection.info), "backend_pid", 1):
        runs_of_a_session()
    assert names() == {}


def test_nothing_is_executed_by_name_where_plans_are_not_steady(grown: None) -> None:
    runs_of_a_session()
    thread = make_thread()
    with messages() as texts:
        execute(update(thread, {"metadata": {}}))
    assert not any("EXECUTE" in text for text in texts)


def refused(thread: Thread) -> None:
    with pytest.raises(DatabaseError, match="division by zero"), transaction.atomic():
        execute(steady(), THREADS(thread.pk), Statement("SELECT 1 / 0"), RUNS(thread.pk))


def test_what_was_prepared_before_an_error_is_known_and_nothing_else_is(grown: None) -> None:
    thread = make_thread()
    for _ in range(3):
        refused(thread)
    with transaction.atomic():
        for _ in range(3):
            execute(steady(), RUNS(thread.pk))
    for _ in range(3):
        refused(thread)
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements")
        assert {name for (name,) in cursor.fetchall()} >= set(names().values())


def test_who_forgets_what_is_prepared_is_refused_once(grown: None) -> None:
    """An assistant may, on a connection that it has in common with the executor's services."""
    runs_of_a_session()
    assert names() != {}
    thread = make_thread()
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    with pytest.raises(DatabaseError, match="does not exist"), transaction.atomic():
        lock_thread(thread.pk)
    assert names() == {}
    runs_of_a_session()


def test_what_follows_a_lock_is_read_after_it_also_by_name(grown: None) -> None:
    run = make_run(make_thread())
    for _ in range(4):
        Run.objects.filter(pk=run.pk).update(reason="before")
        with transaction.atomic():
            found = execute(steady(), update(run, {"reason": "after"}), RUNS(run.thread_id))
        assert [one.reason for one in RUNS.load(found[-1])] == ["after"]
    assert RUNS._sql in names()
