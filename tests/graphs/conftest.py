"""Everything here happens in real workers, so it happens in committed rows."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from tests.support.fixtures import intact  # noqa: F401 - fixtures
from tests.support.stage import stage, swept  # noqa: F401 - fixtures

PROJECT = Path(__file__).parent.parent / "support" / "project" / "langgraph.json"


@pytest.fixture(scope="module")
def db(stage: None) -> Iterator[None]:  # noqa: F811 - it is asked for here
    """The stage, and the graphs of tests/support/project as assistants."""
    from runs.assistants import registry

    with pytest.MonkeyPatch.context() as patch, override_settings(RUNS=settings.RUNS):
        patch.setenv("RUNYARD_CONFIG", str(PROJECT))
        registry.forget()
        yield
    registry.forget()
    assert "RUNYARD_CONFIG" not in os.environ
