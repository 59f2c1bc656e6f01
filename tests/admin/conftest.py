"""What every test of the admin needs."""

from typing import TYPE_CHECKING

import pytest

from tests.support.fixtures import Outbox, assistants, outbox  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from django.test import Client


@pytest.fixture(autouse=True)
def world(db: None, assistants: None, outbox: Outbox) -> None:  # noqa: F811
    """The test assistants, and an outbox instead of the broker."""


@pytest.fixture
def operator() -> "Client":
    """A superuser's browser."""
    from django.test import Client

    from tests.support.factories import make_actor

    user = make_actor("operator").owner
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    return client
