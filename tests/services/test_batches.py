"""What is sent together begins its transaction; what is relied on below the surface of psycopg and Django."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, connection, transaction
from django.db.models.signals import post_init
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from runs.literals import literal
from runs.models import Thread
from runs.statements import Select, Statement, execute, insert, update
from tests.support.factories import make_thread
from tests.support.sent import messages, somebody_else

#: Whose transactions are their own.
committed = pytest.mark.usefixtures("commits")

THREAD = Select(Thread, "WHERE id = %s")
VALUES: list[Any] = [
    *(
        "",
        "plain",
        "it's",
        "back\\slash",
        "%s %% %(a)s $1 ;\n",
        "\u00e4\U0001f600",
        0,
        -1,
        2**40,
        True,
        False,
        None,
        1.5,
        -2e-9,
    ),
    *(float("inf"), UUID(int=5), datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC), datetime(12, 1, 1, tzinfo=UTC)),
    *(
        datetime(2024, 2, 29, tzinfo=UTC).replace(tzinfo=None),
        ["a", "b'"],
        Jsonb({"a": "it's", "b": [None, "\\n"]}),
        Jsonb("x"),
        b"\x00\xff",
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_written_as_psycopg_writes_it(value: Any) -> None:
    with connection.cursor() as cursor:
        own = literal(value, cursor.connection)
        cursor.execute("SELECT %s", [value])
        (expected,) = cursor.fetchone()
        kind = psycopg.sql.Literal(value).as_string(cursor.connection).rpartition("::")[2]
        cursor.execute(f"SELECT {own}" + (f"::{kind}" if isinstance(value, Jsonb) else ""))
        assert cursor.fetchone() == (expected,)


def test_what_cannot_be_written_is_refused_as_ever() -> None:
    with pytest.raises(DataError):
        execute(Statement("SELECT %s", ["\0"]))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_a_moment_is_read_in_any_time_zone(zone: str) -> None:
    moment = datetime(2024, 2, 29, 23, 59, 59, 120000, tzinfo=UTC)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL TIME ZONE '{zone}'")
        [[(found,)]] = execute(Statement("SELECT %s::timestamptz", [moment]))
    assert (found, found.tzinfo) == (moment, UTC)


def test_an_instance_is_as_django_makes_it() -> None:
    thread = make_thread()
    (found,) = THREAD.load(execute(THREAD(thread.pk))[0])
    expected = Thread.objects.get(pk=thread.pk)
    assert vars(found).keys() == vars(expected).keys()
    assert found._state.fields_cache == expected._state.fields_cache
    assert vars(found._state) == vars(expected._state)
    assert {**vars(found), "_state": None} == {**vars(expected), "_state": None}


def test_who_listens_for_instances_hears_of_each() -> None:
    heard: list[Any] = []
    thread = make_thread()

    def listen(instance: Thread, **_: Any) -> None:
        heard.append(instance)

    post_init.connect(listen, sender=Thread)
    try:
        found = THREAD.load(execute(THREAD(thread.pk))[0])
    finally:
        post_init.disconnect(listen, sender=Thread)
    assert heard == found


def status() -> TransactionStatus:
    return TransactionStatus(connection.connection.pgconn.transaction_status)


@committed
def test_the_first_that_is_sent_begins_the_transaction() -> None:
    thread = make_thread()
    with messages() as found, transaction.atomic():
        assert status() == TransactionStatus.IDLE
        execute(update(thread, {"metadata": {"a": 1}}))
        assert status() == TransactionStatus.INTRANS
        execute(Statement("SELECT 1"))
        transaction.set_rollback(True)
    assert [text.partition(";\n")[0].partition(" ")[0] for text in found] == ["BEGIN", "SELECT"]
    assert Thread.objects.get(pk=thread.pk).metadata == {}
    assert status() == TransactionStatus.IDLE


@committed
def test_what_the_orm_and_savepoints_do_belongs_to_it() -> None:
    thread = make_thread()
    with transaction.atomic():
        execute(update(thread, {"metadata": {"a": 1}}))
        with transaction.atomic():
            Thread.objects.filter(pk=thread.pk).update(metadata={"a": 2})
            transaction.set_rollback(True)
        execute(update(thread, {"config": {"b": 1}}))
    found = Thread.objects.get(pk=thread.pk)
    assert (found.metadata, found.config) == ({"a": 1}, {"b": 1})
    with transaction.atomic():
        Thread.objects.filter(pk=thread.pk).update(metadata={"a": 3})
        execute(update(thread, {"config": {"b": 2}}))
        transaction.set_rollback(True)
    found = Thread.objects.get(pk=thread.pk)
    assert (found.metadata, found.config) == ({"a": 1}, {"b": 1})


@committed
def test_outside_a_transaction_nothing_stays_open() -> None:
    execute(Statement("SELECT 1"), Statement("SELECT 2"))
    assert status() == TransactionStatus.IDLE


@committed
def test_an_isolation_that_was_asked_for_is_begun_with() -> None:
    connection.ensure_connection()
    connection.connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    try:
        with transaction.atomic():
            [[(level,)]] = execute(Statement("SHOW transaction_isolation"))
    finally:
        connection.connection.isolation_level = None
    assert level == "serializable"


@committed
@pytest.mark.parametrize("sql", ["SELEC", "SELECT 1 / 0"])
def test_an_error_at_the_first_statement_leaves_a_connection_that_works(sql: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        execute(Statement(sql), Statement("SELECT 1"))
    assert status() == TransactionStatus.IDLE
    assert execute(Statement("SELECT 2")) == [[(2,)]]


def test_after_an_error_nothing_more_is_sent_in_the_transaction() -> None:
    with transaction.atomic():
        with pytest.raises(DataError), transaction.atomic(savepoint=False):
            execute(Statement("SELECT 1 / 0"))
        with pytest.raises(TransactionManagementError):
            execute(Statement("SELECT 1"))


def test_an_error_is_djangos_and_says_what_the_server_said() -> None:
    thread = make_thread()
    with pytest.raises(IntegrityError, match="runs_thread_pkey") as caught, transaction.atomic():
        execute(insert(Thread(id=thread.pk, owner_id=thread.owner_id)))
    assert caught.value.__cause__.sqlstate == "23505"  # type: ignore[union-attr]


@committed
def test_a_connection_that_was_lost_meanwhile_is_refused_and_then_made_anew() -> None:
    execute(Statement("SELECT 1"))
    with somebody_else() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    with pytest.raises(OperationalError), transaction.atomic():
        execute(Statement("SELECT 1"))
    connection.close_if_unusable_or_obsolete()
    assert execute(Statement("SELECT 2")) == [[(2,)]]


def test_who_watches_sees_what_is_sent_with_its_values() -> None:
    seen = []

    def watch(send: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, list(params), many))
        return send(f"{sql} /* watched */", params, many, context)

    with connection.execute_wrapper(watch):
        assert execute(Statement("SELECT %s + 1", [1]), Statement("SELECT %s", ["a'b"])) == [[(2,)], [("a'b",)]]
    assert seen == [("SELECT %s + 1;\nSELECT %s", [1, "a'b"], False)]
    with CaptureQueriesContext(connection) as captured:
        execute(Statement("SELECT %s", ["x"]))
    assert [one["sql"] for one in captured.captured_queries] == ["SELECT 'x'"]


async def _asynchronous() -> None:
    execute(Statement("SELECT 1"))


def test_a_loop_is_not_blocked_by_it() -> None:
    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(_asynchronous())
