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
        for name in _IN_THE_WAY:
            connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


#: Each is the beginning of a primary key and says nothing that this does not say. Where a thread is long the planner
#: takes them for it, and reads the whole thread to find one step. LangGraph makes them once and does not miss them.
_IN_THE_WAY = ("checkpoints_thread_id_idx", "checkpoint_blobs_thread_id_idx", "checkpoint_writes_thread_id_idx")
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
