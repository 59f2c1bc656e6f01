"""An operator who saves in several tabs at once: one view of a name, and no more views than there may be."""

from collections import Counter
from functools import partial
from unittest import mock

import pytest
from django.db import IntegrityError

from runs.errors import Conflict
from runs.models import SavedView
from runs.services.saved_views import save_view
from tests.support.factories import make_actor
from tests.support.race import racers
from tests.support.scale import rounds


def outcomes_of(names: list[str]) -> Counter[type]:
    owner = make_actor("ada").owner
    with racers(len(names)) as race:
        found = race([partial(save_view, owner=owner, name=name, parameters={"age": "1h"}) for name in names])
    return Counter(type(outcome) for outcome in found)


def test_of_six_with_one_name_one_is_saved_and_the_others_are_told() -> None:
    for _ in range(rounds(50)):
        SavedView.objects.all().delete()
        assert outcomes_of(["same"] * 6) == {SavedView: 1, Conflict: 5}


def test_the_last_free_place_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.services.saved_views.MOST_VIEWS", 1)
    for _ in range(rounds(50)):
        SavedView.objects.all().delete()
        assert outcomes_of([f"view {number}" for number in range(6)]) == {SavedView: 1, Conflict: 5}


def test_without_the_lock_the_others_meet_the_constraint() -> None:
    """The negative control: somebody finds the name free that somebody else is about to take."""
    met: Counter[type] = Counter()
    with mock.patch("runs.services.saved_views.lock_user"):
        for _ in range(20):
            SavedView.objects.all().delete()
            met += outcomes_of(["same"] * 6)
    assert met[SavedView] == 20
    assert IntegrityError in met
