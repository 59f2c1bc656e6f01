"""Every race runs on committed rows, records what is sent, and ends with all invariants intact."""

import pytest

from tests.support.fixtures import Outbox, assistants, intact, outbox  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def real_commits(transactional_db: None, assistants: None, outbox: Outbox) -> None:  # noqa: F811
    """Threads see what other threads commit, and nothing reaches a broker."""
