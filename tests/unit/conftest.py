"""Fixtures of the unit tests that ask for them."""

from tests.support.fixtures import assistants, outbox  # noqa: F401 - fixtures
