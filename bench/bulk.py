"""Fill a large database faster: what is checked and indexed row by row otherwise is indexed once, at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

#: Indexes that no constraint needs.
_INDEXES = """
SELECT index.indexrelid::regclass::text, pg_get_indexdef(index.indexrelid) FROM pg_index index
JOIN pg_class owner ON owner.oid = index.indrelid
WHERE owner.relname LIKE 'runs\\_%' AND NOT index.indisprimary
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = index.indexrelid)
"""
_ROOM = ("work_mem = '512MB'", "maintenance_work_mem = '1GB'", "synchronous_commit = off")


@contextmanager
def bulk_load() -> Iterator[None]:
    """In this block foreign keys are not checked, and the app's tables have no indexes but those of constraints.

    For rows that are known to be right, in a database of one's own, as its superuser.
    """
    with connection.cursor() as cursor:
        for setting in (*_ROOM, "session_replication_role = replica"):
            cursor.execute(f"SET {setting}")
        cursor.execute(_INDEXES)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
    yield
    with connection.cursor() as cursor:
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("SET session_replication_role = DEFAULT")
