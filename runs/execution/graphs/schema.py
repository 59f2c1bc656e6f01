"""LangGraph's tables, made by our migrate step."""

from django.db import connections
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.store.postgres import PostgresStore
from psycopg import Connection
from psycopg.rows import DictRow, dict_row


def create_tables(using: str) -> None:
    """Bring LangGraph's tables in this database up to date; does nothing if they are."""
    settings = {name: value for name, value in connections[using].get_connection_params().items() if name in _ADDRESS}
    # Of its own: LangGraph builds indexes concurrently, which no transaction may contain.
    with Connection[DictRow].connect(**settings, autocommit=True, row_factory=dict_row) as connection:
        PostgresSaver(connection).setup()
        PostgresStore(connection).setup()


_ADDRESS = (
    "dbname",
    "user",
    "password",
    "host",
    "port",
    "service",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
)
