"""What follows a commit never fails it."""

import logging
from functools import partial

import pytest
from django.db import transaction

from runs.after_commit import after_commit

pytestmark = pytest.mark.django_db(transaction=True)


def fail(what: str) -> None:
    """Neither Redis' error nor the broker's."""
    raise AttributeError(what)


def test_what_it_raises_is_logged_and_the_next_is_called(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []
    with caplog.at_level(logging.ERROR), transaction.atomic():
        after_commit(partial(fail, "of whatever kind"))
        after_commit(partial(called.append, "the next"))
    assert called == ["the next"]
    assert "of whatever kind" in caplog.text


def test_without_it_the_error_of_a_partial_reaches_whoever_has_committed() -> None:
    with pytest.raises(AttributeError, match="__qualname__"), transaction.atomic():
        transaction.on_commit(partial(fail, "of whatever kind"), robust=True)


def test_what_is_rolled_back_is_not_followed() -> None:
    called: list[str] = []
    with transaction.atomic():
        after_commit(partial(called.append, "never"))
        transaction.set_rollback(True)
    assert called == []
