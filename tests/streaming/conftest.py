"""Streams are written after commits and read by other connections, so everything here happens in committed rows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.test import override_settings

from tests.support.fixtures import intact
from tests.support.stage import stage

if TYPE_CHECKING:
    from tests.support.reading import Loop

__all__ = ["intact", "stage"]


@pytest.fixture(scope="module")
def db(stage: None) -> Iterator[None]:
    """In place of pytest-django's, which rolls back; with the assistants of the factories, and the emitters."""
    from runs.assistants import registry
    from tests.support import emitters, factories

    names = {**settings.RUNS["ASSISTANTS"], **factories.ASSISTANTS, **emitters.ASSISTANTS}
    with override_settings(RUNS={**settings.RUNS, "ASSISTANTS": names}):
        registry.forget()
        yield
    registry.forget()


@pytest.fixture(scope="module")
def loop(db: None) -> "Iterator[Loop]":
    """Where the readers of a module are at work."""
    from tests.support.reading import Loop

    with Loop() as loop:
        yield loop
