"""The settings of the app: defaults, what settings.RUNS changes, and what it must not contain."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from runs.conf import RunsSettings, runs_settings
from runs.states import DisconnectMode, MultitaskStrategy


def test_settings_lie_over_the_defaults(settings: Settings) -> None:
    settings.RUNS = {"MAX_ATTEMPTS": 7}
    assert (runs_settings().MAX_ATTEMPTS, runs_settings().LEASE_SECONDS) == (7, RunsSettings().LEASE_SECONDS)


def test_an_unknown_key_is_named(settings: Settings) -> None:
    settings.RUNS = {"MAX_ATEMPTS": 7, "OTHER": 1}
    with pytest.raises(ImproperlyConfigured, match="unknown keys: MAX_ATEMPTS, OTHER"):
        runs_settings()


def test_the_defaults_of_a_create_follow_the_compatibility(settings: Settings) -> None:
    settings.RUNS = {}
    ours = runs_settings()
    assert (ours.default_multitask_strategy, ours.default_on_disconnect) == (
        MultitaskStrategy.REJECT,
        DisconnectMode.CANCEL,
    )
    settings.RUNS = {"COMPAT": "langgraph"}
    theirs = runs_settings()
    assert (theirs.default_multitask_strategy, theirs.default_on_disconnect) == (
        MultitaskStrategy.ENQUEUE,
        DisconnectMode.CONTINUE,
    )
