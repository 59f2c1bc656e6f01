"""What every test of this directory needs."""

import pytest
from django.db.models import Model

from tests.support.fixtures import Outbox, assistants, outbox

__all__ = ["assistants", "outbox"]


@pytest.fixture(autouse=True)
def _world(db: Model, assistants: None, outbox: Outbox) -> None:
    """The test assistants, and an outbox instead of the broker."""
