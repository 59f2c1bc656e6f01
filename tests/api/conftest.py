"""Every test of the API: two users with keys, the test assistants, an outbox instead of the broker."""

from typing import TYPE_CHECKING

import pytest

from tests.support.fixtures import Outbox, assistants, intact, outbox, registered  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from tests.support.api import Api


@pytest.fixture(autouse=True)
def world(db: None, registered: None, outbox: Outbox, intact: None) -> None:  # noqa: F811
    """What all of these tests need."""


@pytest.fixture
def api() -> "Api":
    """The user who does things."""
    from tests.support.api import make_api

    return make_api("ada")


@pytest.fixture
def stranger() -> "Api":
    """Somebody else."""
    from tests.support.api import make_api

    return make_api("bob")
