"""What every test of the admin needs."""

import pytest
from django.db.models import Model
from django.test import Client

from tests.support.factories import make_actor
from tests.support.fixtures import Outbox, assistants, outbox

__all__ = ["assistants", "outbox"]


@pytest.fixture(autouse=True)
def _world(db: Model, assistants: None, outbox: Outbox) -> None:
    """The test assistants, and an outbox instead of the broker."""


@pytest.fixture
def operator() -> Client:
    """A superuser's browser."""
    user = make_actor("operator").owner
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    return client
