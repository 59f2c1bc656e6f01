"""Fixtures of the properties."""

from tests.support.fixtures import assistants, outbox  # noqa: F401 - fixtures
