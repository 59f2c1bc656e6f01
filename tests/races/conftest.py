"""Every race runs on committed rows, records what is sent, and ends with all invariants intact."""

from collections.abc import Iterator

import pytest

from tests.support.fixtures import Outbox, assistants, outbox  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def real_commits(transactional_db: None, assistants: None, outbox: Outbox) -> None:  # noqa: F811
    """Threads see what other threads commit, and nothing reaches a broker."""


@pytest.fixture
def intact(real_commits: None) -> Iterator[None]:
    """When the test is over, nothing that the database can show is wrong."""
    yield
    from runs.services.invariants import find_violations

    assert [str(violation) for violation in find_violations()] == []
