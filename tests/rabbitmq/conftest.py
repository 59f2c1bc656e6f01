"""Run by name, for it needs RabbitMQ installed: `make test-rabbitmq`."""

from tests.crashes.conftest import db, intact, pytest_runtest_makereport, stage, swept

__all__ = ["db", "intact", "pytest_runtest_makereport", "stage", "swept"]
