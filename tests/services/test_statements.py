"""What is sent together: each statement sees what those before it did, and what others had committed by then."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.db.transaction import TransactionManagementError

from runs.locks import lock_thread
from runs.models import Checkpoint, Run, RunEvent, Thread
from runs.models.fields import new_id
from runs.statements import Select, Statement, execute, insert, update
from tests.support.factories import finish, make_actor, make_run, make_thread, running, step
from tests.support.race import Rival

pytestmark = pytest.mark.usefixtures("commits")

LOCK = Select(Thread, "WHERE id = %s FOR NO KEY UPDATE")
RUNS = Select(Run, "WHERE thread_id = %s ORDER BY sequence")


def columns(row: Model) -> dict[str, Any]:
    """All that the row holds, without asking the database again."""
    return {field.attname: row.__dict__[field.attname] for field in row._meta.concrete_fields}


@pytest.mark.parametrize("model", [Run, Thread, Checkpoint, RunEvent], ids=lambda model: model.__name__)
def test_a_row_is_read_as_the_orm_reads_it(model: type[Model]) -> None:
    run = running(make_thread(), metadata={"a": [1, "\u00e4"]}, kwargs={"input": {"x": None}})
    step(run, page=1)
    finish(run, answer=42)
    every = Select(model, "ORDER BY id")
    (rows,) = execute(every())
    expected = list(model._default_manager.order_by("id"))
    assert [columns(row) for row in every.load(rows)] == [columns(row) for row in expected]
    assert len(expected) > 0


def test_columns_that_were_left_out_are_asked_for_when_they_are_read() -> None:
    run = make_run(make_thread(), kwargs={"input": {"x": 1}})
    small = Select(Run, "WHERE id = %s", without=("kwargs",))
    smaller = Select(Run, "WHERE id = %s", only=("status",))
    for select, loaded in ((small, {"id", "status", "sequence"}), (smaller, {"id", "status"})):
        (rows,) = execute(select(run.pk))
        (found,) = select.load(rows)
        assert loaded <= set(found.__dict__)
        assert "kwargs" in found.get_deferred_fields()
        assert found.kwargs == {"input": {"x": 1}}


def lock_and_read(thread: Thread, *, together: bool) -> list[Run]:
    """Lock the thread, then read its runs; not `together`: by one statement, whose snapshot is older than the lock."""
    with transaction.atomic():
        if together:
            _, rows = execute(LOCK(thread.pk), RUNS(thread.pk))
        else:
            locked = f"WITH locked AS MATERIALIZED ({LOCK(thread.pk).sql}) "
            sql = f"{locked} {RUNS(thread.pk).sql.replace('WHERE', 'WHERE (SELECT count(*) FROM locked) = 1 AND')}"
            (rows,) = execute(Statement(sql, [thread.pk, thread.pk]))
    return RUNS.load(rows)


@pytest.mark.parametrize(("together", "seen"), [(True, 1), (False, 0)], ids=["two statements", "control: one"])
def test_what_follows_a_lock_reads_what_its_former_holder_has_left(together: bool, seen: int) -> None:
    thread, run = make_thread(), make_run(make_thread())
    reader: Rival[list[Run]] = Rival(lambda: lock_and_read(thread, together=together))
    with transaction.atomic():
        lock_thread(thread.pk)
        assert not reader.start().wait_until_blocked_or_done().done
        Run.objects.filter(pk=run.pk).update(thread=thread)
    found = reader.outcome()
    assert isinstance(found, list)
    assert len(found) == seen


def test_the_first_that_fails_undoes_what_was_sent_with_it() -> None:
    thread = make_thread()
    with pytest.raises(Exception, match="division by zero"), transaction.atomic():
        execute(update(thread, {"metadata": {"changed": True}}), Statement("SELECT 1 / 0"))
    assert Thread.objects.get(pk=thread.pk).metadata == {}


def test_an_update_writes_its_columns_and_nothing_else() -> None:
    thread = make_thread()
    Thread.objects.filter(pk=thread.pk).update(metadata={"kept": 1})
    execute(update(thread, {"error": {"error": "E", "message": "100 %s"}, "config": {}}))
    found = Thread.objects.get(pk=thread.pk)
    assert (found.metadata, found.error) == ({"kept": 1}, {"error": "E", "message": "100 %s"})
    execute(update(thread, {"error": None}))
    assert Thread.objects.filter(pk=thread.pk, error__isnull=True).exists()


def test_an_insert_of_a_key_that_is_taken() -> None:
    owner = make_actor().owner
    first, second = (Thread(id=key, owner=owner, metadata={"of": number}) for number, key in enumerate([new_id()] * 2))
    assert [bool(execute(insert(row, if_free=True, returning="id"))[0]) for row in (first, second)] == [True, False]
    stored = Thread.objects.get(pk=first.pk)
    assert (stored.metadata, stored.created_at is None) == ({"of": 0}, False)


def test_a_lock_needs_a_transaction() -> None:
    thread = make_thread()
    assert not connection.in_atomic_block
    with pytest.raises(TransactionManagementError):
        lock_thread(thread.pk)
