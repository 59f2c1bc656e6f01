"""Those that use the database themselves."""

from collections.abc import Iterator
from typing import Any

from runs.assistants import RunContext, assistant
from tests.support.assistants.presence import ANSWER, present, wait_at_gate


@assistant
def querying(run: RunContext, input: Any) -> None:
    """One transaction after the other: an interruption hits a query, or the entering or leaving of a transaction."""
    from django.db import connection, transaction

    with present(run):
        while True:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.001)")


@assistant
def slow_query(run: RunContext, input: Any) -> dict[str, int]:
    """One statement, in a transaction, for the number of seconds in the input."""
    from django.db import connection, transaction

    with present(run), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [input["seconds"]])
    return ANSWER


@assistant
def holding(run: RunContext, input: Any) -> Iterator[dict[str, int]]:
    """A transaction of its own is open around the step, and never ends."""
    from django.db import connection, transaction

    with present(run):
        transaction.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        yield ANSWER
        wait_at_gate(run, run.id)


@assistant
async def async_holding(run: RunContext, input: Any) -> dict[str, bool]:
    """Says whether it finds a transaction in the thread that async code uses the ORM in, and leaves one open there."""
    from asgiref.sync import sync_to_async
    from django.db import connection, transaction

    def hold() -> bool:
        found = not transaction.get_autocommit()
        transaction.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return found

    with present(run):
        return {"found": await sync_to_async(hold)()}


@assistant
def unstorable(run: RunContext, input: Any) -> dict[str, int]:
    """Reports what the test has the database refuse."""
    with present(run):
        run.model_name = "unstorable"
    return ANSWER
