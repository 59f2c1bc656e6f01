"""Inserting a row whose id the caller may have chosen."""

from django.db import IntegrityError, models, transaction

UNIQUE_VIOLATION = "23505"


def insert_if_free(row: models.Model) -> bool:
    """Insert the row if its id is free and return whether it was; of two callers the second waits for the first.

    A savepoint, because the ORM's `ignore_conflicts` does not say whether the row is ours. For rows of which only the
    id is unique.
    """
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        return False
    return True
