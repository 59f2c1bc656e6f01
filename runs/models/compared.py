"""What is asked of a row that is found by its id."""

from typing import Any

from django.db.models import BooleanField, Func, Q


class Compared(Func):
    """These conditions, which no index answers: the row is found by what else is asked for, then compared.

    Searched by `owner = 7`, too, a thread that is wanted by its id would be looked for among all threads of the owner,
    if the statistics say that he has none; and he may have had a million since.
    """

    template = "(%(expressions)s) IS TRUE"
    output_field = BooleanField()

    def __init__(self, *conditions: Any, **of_columns: Any) -> None:
        super().__init__(Q(*conditions, **of_columns))
