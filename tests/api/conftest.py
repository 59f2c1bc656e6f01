"""Every test of the API: two users with keys, the test assistants, an outbox instead of the broker."""

import pytest
from django.db.models import Model

from tests.support.api import Api, make_api
from tests.support.fixtures import Outbox, assistants, outbox

__all__ = ["assistants", "outbox"]


@pytest.fixture(autouse=True)
def _api_world(db: Model, assistants: None, outbox: Outbox) -> None:
    """What all of these tests need."""


@pytest.fixture
def api() -> Api:
    """The user who does things."""
    return make_api("ada")


@pytest.fixture
def stranger() -> Api:
    """Somebody else."""
    return make_api("bob")
