"""Inserting a row whose id the caller may have chosen."""

from django.db.models import Model

from runs.statements import execute, insert


def insert_if_free(row: Model) -> bool:
    """Insert the row if its id is free and return whether it was; of two callers the second waits for the first.

    For rows of which only the id is unique. The row does not show what the database has set.
    """
    (inserted,) = execute(insert(row, returning="id", if_free=True))
    return bool(inserted)
