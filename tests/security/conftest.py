"""What every test of this directory needs."""

import pytest

from tests.support.fixtures import Outbox, assistants, outbox, registered  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def assistants_and_outbox(db: None, registered: None, outbox: Outbox) -> None:  # noqa: F811
    """The test assistants, and an outbox instead of the broker."""
