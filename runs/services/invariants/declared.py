"""What the models declare of their tables: columns, constraints and indexes, by name."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import CheckConstraint, Field, ForeignKey, Model

from runs.services.invariants import definitions
from runs.services.invariants.definitions import Definition

Named = tuple[str, Definition]


@cache
def declared(model: type[Model]) -> dict[str, Definition]:
    """What has no name of its own is called by what it is. Asks nothing of the database."""
    editor: Any = connection.schema_editor(collect_sql=True)
    found = [named for field in model._meta.local_concrete_fields for named in _of_field(field, editor)]
    found += [_named(sql) for sql in editor._model_indexes_sql(model)]
    for constraint in model._meta.constraints:
        sql = str(constraint.create_sql(model, editor))
        if isinstance(constraint, CheckConstraint):
            found.append((constraint.name, definitions.check(sql.partition(" CHECK ")[2])))
        elif sql.startswith("ALTER"):
            found.append((constraint.name, definitions.unique("UNIQUE " + sql.partition(" UNIQUE ")[2])))
        else:
            found.append(_named(sql))
    return dict(found)


def _named(statement: Any) -> Named:
    """Of `CREATE INDEX "name" ...`."""
    return str(statement).split('"')[1], definitions.index(str(statement))


def _of_field(field: "Field[Any, Any]", editor: Any) -> Iterator[Named]:
    yield f"column {field.column}", _column(field, editor)
    if field.unique:
        yield f"unique ({field.column})", definitions.unique(f"UNIQUE ({field.column})")
    if isinstance(field, ForeignKey):
        target = field.target_field
        sql = f"FOREIGN KEY ({field.column}) REFERENCES {target.model._meta.db_table}({target.column})"
        yield f"foreign key ({field.column})", Definition(f"{sql} DEFERRABLE INITIALLY DEFERRED")


def _column(field: "Field[Any, Any]", editor: Any) -> Definition:
    kind = str(field.db_type(connection)).replace("varchar", "character varying")
    shape = kind + ("" if field.null else " NOT NULL")
    if field.db_type_suffix(connection):
        shape += " IDENTITY"
    if not field.has_db_default():
        return Definition(shape)
    sql, values = editor.db_default_sql(field)
    default = sql % tuple(map(editor.quote_value, values))
    return Definition(f"{shape} DEFAULT ?", (f"CAST({default} AS {kind})",))
