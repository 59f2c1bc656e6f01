"""The database has what the models declare: a migration can take away more than it says."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from runs.services.invariants import missing_constraints

pytestmark = pytest.mark.django_db


def test_the_migrations_leave_every_constraint_and_index_of_the_models() -> None:
    assert list(map(str, missing_constraints())) == []


def test_a_constraint_that_is_gone_is_named() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX runs_run_one_lease")
    out = StringIO()
    with pytest.raises(CommandError, match="1 violation"):
        call_command("check_invariants", stdout=out)
    assert out.getvalue() == "schema table runs_run: lacks runs_run_one_lease\n"
