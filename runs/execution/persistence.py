"""Writing from an executor while the database may be away for a moment."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, InternalError, OperationalError

from runs.execution.connections import executors_connection

logger = logging.getLogger(__name__)

T = TypeVar("T")
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 2.0


#: Classes of SQLSTATE that pass: connection, rollback, resources, object not in state, operator intervention.
#: And two of an invalid transaction: a standby that is being promoted, a session ended for its silence in the middle.
_TRANSIENT = ("08", "40", "53", "55", "57", "25006", "25P03")
#: What the database, or the way to it, may raise for reasons of its own.
DATABASE_TROUBLE = (OperationalError, InterfaceError, InternalError)


def is_transient(error: Exception) -> bool:
    """Whether the same statement may succeed later. An error without SQLSTATE is the connection's own."""
    sqlstate: str | None = getattr(error.__cause__, "sqlstate", None)
    return sqlstate is None or sqlstate.startswith(_TRANSIENT)


def persist(write: Callable[[], T], *, give_up: Callable[[], bool] = lambda: False) -> T:
    """Call `write`, on the executor's connection, until the database has answered.

    Only for writes that may be repeated: fenced, and recognised if their commit's answer was lost.

    Raises the last error once `give_up()` says that nobody wants the write any more.
    """
    wait = FIRST_WAIT_SECONDS
    while True:
        try:
            with executors_connection() as connection:
                try:
                    return write()
                except DATABASE_TROUBLE:
                    connection.close()
                    raise
        except DATABASE_TROUBLE as error:
            if give_up() or not is_transient(error):
                raise
            logger.warning("the database is away; trying again in %.1f s", wait, exc_info=True)
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)
