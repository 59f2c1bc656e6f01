"""What need not be waited for travels with what comes next, at the latest with COMMIT, and nothing else changes."""

from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection
from django.db import transaction as django
from psycopg.pq import TransactionStatus

from runs.models import Run, Thread
from runs.statements import Statement, execute, insert, pipelined, update
from runs.transactions import atomic, later, was_refused
from tests.support.factories import claim, finish, make_run, make_thread, make_worker
from tests.support.sent import messages, somebody_else

#: Whose transactions are their own.
committed = pytest.mark.usefixtures("commits")


def status() -> TransactionStatus:
    return TransactionStatus(connection.connection.pgconn.transaction_status)


def metadata(thread: Thread) -> Any:
    return Thread.objects.get(pk=thread.pk).metadata


def changed(thread: Thread, **metadata: Any) -> Statement:
    return update(thread, {"metadata": metadata})


def shape(sent: list[str]) -> list[tuple[bool, bool]]:
    """Of each message whether it begins a transaction, and whether it ends one."""
    return [(text.startswith("BEGIN"), text.endswith(";\nCOMMIT")) for text in sent]


TWO_ROUND_TRIPS = [(True, False), (False, True)]


@committed
def test_admission_claim_and_end_are_two_round_trips_each() -> None:
    thread, worker = make_thread(), make_worker()
    make_run(make_thread())  # what is read once a process
    with messages() as sent:
        run = make_run(thread)
    assert shape(sent) == TWO_ROUND_TRIPS
    with messages() as sent:
        claim(run, worker)
    assert shape(sent) == TWO_ROUND_TRIPS
    run.refresh_from_db()
    with messages() as sent:
        finish(run, page=1)
    assert shape(sent) == TWO_ROUND_TRIPS
    assert status() == TransactionStatus.IDLE


@committed
def test_it_is_sent_once_and_kept() -> None:
    thread = make_thread()
    with messages() as sent, atomic():
        later(changed(thread, a=1), update(thread, {"config": {"b": 1}}))
        assert sent == []
    assert len(sent) == 1
    found = Thread.objects.get(pk=thread.pk)
    assert (found.metadata, found.config) == ({"a": 1}, {"b": 1})


@committed
def test_what_is_asked_next_sees_it_and_gets_its_own_rows_only() -> None:
    thread = make_thread()
    seen: list[Any] = []
    read = Statement("SELECT metadata ->> 'a' FROM runs_thread WHERE id = %s", [thread.pk])
    with atomic():
        later(changed(thread, a=1))
        later(read, then=seen.append)
        later(changed(thread, a=2))
        assert execute(read, Statement("SELECT 5")) == [[("2",)], [(5,)]]
        later(changed(thread, a=3))
    assert seen == [[[("1",)]]]
    assert metadata(thread) == {"a": 3}


@committed
def test_the_orm_sees_it() -> None:
    thread = make_thread()
    with atomic():
        later(changed(thread, a=1))
        assert metadata(thread) == {"a": 1}
        Thread.objects.filter(pk=thread.pk).update(metadata={"a": 2})
        later(changed(thread, a=3))
    assert metadata(thread) == {"a": 3}


@committed
def test_psycopgs_own_statements_see_it() -> None:
    thread = make_thread()
    with atomic():
        later(changed(thread, a=1))
        with pipelined():
            cursor = connection.connection.execute("SELECT metadata FROM runs_thread WHERE id = %s", [thread.pk])
        assert cursor.fetchone() == ('{"a": 1}',)


@committed
def test_a_savepoint_undoes_what_came_after_it_alone() -> None:
    thread = make_thread()
    with atomic():
        later(changed(thread, a=1))
        with django.atomic():
            later(changed(thread, a=2))
            django.set_rollback(True)
        later(update(thread, {"config": {"b": 1}}))
    found = Thread.objects.get(pk=thread.pk)
    assert (found.metadata, found.config) == ({"a": 1}, {"b": 1})


@atomic()
def write_and_fail(thread: Thread) -> None:
    later(changed(thread, a=1))
    raise RuntimeError


@committed
def test_what_fails_leaves_nothing_to_the_next() -> None:
    thread = make_thread()
    with pytest.raises(RuntimeError):
        write_and_fail(thread)
    with atomic():
        execute(Statement("SELECT 1"))
    later(update(thread, {"config": {"b": 1}}))  # in no transaction
    found = Thread.objects.get(pk=thread.pk)
    assert (found.metadata, found.config) == ({}, {"b": 1})


@committed
def test_what_is_rolled_back_is_not_kept() -> None:
    thread = make_thread()
    with atomic():
        later(changed(thread, a=1))
        django.set_rollback(True)
    assert metadata(thread) == {}
    assert status() == TransactionStatus.IDLE


@committed
def test_hooks_are_called_after_it_and_see_what_it_returned() -> None:
    seen: list[Any] = []
    with atomic():
        later(Statement("SELECT 7"), then=seen.append)
        django.on_commit(lambda: seen.append(status()))
    assert seen == [[[(7,)]], TransactionStatus.IDLE]


@committed
def test_what_is_refused_on_the_way_is_raised_and_all_is_undone() -> None:
    thread = make_thread()
    with pytest.raises(IntegrityError, match="runs_thread_pkey"), atomic():
        later(changed(thread, a=1), insert(Thread(id=thread.pk, owner_id=thread.owner_id)))
    assert metadata(thread) == {}
    assert status() == TransactionStatus.IDLE


@committed
def test_what_commit_itself_refuses_is_raised_and_all_is_undone() -> None:
    """References are checked at COMMIT."""
    thread = make_thread()
    with pytest.raises(IntegrityError, match="owner_id") as refused, atomic():
        later(changed(thread, a=1), insert(Thread(owner_id=-1)))
    assert was_refused(refused.value)
    assert metadata(thread) == {}
    assert status() == TransactionStatus.IDLE
    assert execute(Statement("SELECT 2")) == [[(2,)]]


@atomic()
def lose_the_connection() -> None:
    execute(Statement("SELECT 1"))
    with somebody_else() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    later(Statement("SELECT 1"))


@committed
def test_who_was_cut_off_was_not_refused() -> None:
    with pytest.raises(OperationalError) as lost:
        lose_the_connection()
    assert not was_refused(lost.value)
    connection.close()


def test_who_was_cut_off_without_a_word_was_not_refused() -> None:
    assert not was_refused(OperationalError("the connection is lost"))
    error = OperationalError()
    error.__cause__ = psycopg.errors.AdminShutdown()
    assert not was_refused(error)


def test_in_a_transaction_of_somebody_elses_it_does_not_commit() -> None:
    thread = make_thread()
    with atomic():
        later(changed(thread, a=1))
    assert status() == TransactionStatus.INTRANS
    assert metadata(thread) == {"a": 1}


@committed
def test_outside_it_is_executed_at_once() -> None:
    thread = make_thread()
    seen: list[Any] = []
    later(changed(thread, a=1))
    later(Statement("SELECT 7"), then=seen.append)
    assert (metadata(thread), seen) == ({"a": 1}, [[[(7,)]]])
    with django.atomic():
        later(changed(thread, a=2))
        django.set_rollback(True)
    assert metadata(thread) == {"a": 1}


@committed
def test_an_accepted_run_knows_its_place_in_the_order() -> None:
    first, second = make_run(make_thread()), make_run(make_thread())
    assert (first.sequence, second.sequence) == tuple(
        Run.objects.order_by("sequence").values_list("sequence", flat=True)
    )
