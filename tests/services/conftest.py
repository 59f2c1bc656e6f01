"""Services on real rows; what a test commits is rolled back after it, unless it asks for `commits`."""

import pytest

from tests.support.fixtures import Outbox, assistants, intact, outbox  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def rows(db: None, assistants: None, outbox: Outbox) -> None:  # noqa: F811
    """A database, assistants to run, and no broker."""


@pytest.fixture
def commits(transactional_db: None) -> None:
    """Commits are real, so that what is sent after them is sent."""
