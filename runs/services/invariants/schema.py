"""What the database itself repeats of the invariants: is every constraint that the models declare really there?"""

from collections.abc import Iterator

from django.apps import apps
from django.db import connection

from runs.services.invariants.violation import Violation


def missing_constraints() -> Iterator[Violation]:
    """Yield the constraints and indexes that the models declare and the database has not.

    A migration can take away more than it says: Django, altering a foreign key to have no index of its own, drops every
    index on that column alone, also one that is a unique constraint (`BaseDatabaseSchemaEditor._alter_field`).
    """
    for model in apps.get_app_config("runs").get_models():
        declared = {one.name for one in [*model._meta.constraints, *model._meta.indexes]}
        with connection.cursor() as cursor:
            there = connection.introspection.get_constraints(cursor, model._meta.db_table)
        for name in sorted(declared - there.keys()):
            yield Violation("schema", f"table {model._meta.db_table}", f"lacks {name}")
