"""What is sent to PostgreSQL in batches, as the server gets it; and a second client of the same database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg
from django.db import connection

from runs import batches


@contextmanager
def messages() -> Iterator[list[str]]:
    """What is sent in this block."""
    found: list[str] = []
    asked = batches._asked

    def keep(pgconn: Any, message: bytes) -> Any:
        found.append(message.decode())
        return asked(pgconn, message)

    with patch.object(batches, "_asked", keep):
        yield found


@contextmanager
def somebody_else() -> "Iterator[psycopg.Connection[Any]]":
    """Another connection to the database, in a transaction that ends with the block."""
    connection.ensure_connection()
    password = connection.settings_dict["PASSWORD"] or None
    with psycopg.connect(connection.connection.info.dsn, password=password) as other:
        yield other
