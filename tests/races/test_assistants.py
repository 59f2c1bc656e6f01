"""Assistants that are created, changed and registered at the same moment."""

from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Max

from runs.actors import Actor
from runs.assistants import registry
from runs.errors import AssistantExists
from runs.models import Assistant, AssistantVersion, Graph
from runs.services.assistants import create_assistant, delete_assistant, update_assistant
from runs.services.registration import register_assistants
from tests.support.factories import ASSISTANTS, make_actor
from tests.support.race import race, racers
from tests.support.scale import rounds

RACERS = 6


@pytest.fixture
def actor(transactional_db: None, assistants: None) -> Actor:
    """Somebody."""
    return make_actor()


def versions(assistant: Assistant) -> list[int]:
    return list(assistant.versions.order_by("version").values_list("version", flat=True))


@pytest.mark.parametrize("if_exists", ["raise", "do_nothing"])
def test_concurrent_creates_of_one_id_end_as_one_assistant(actor: Actor, if_exists: Any) -> None:
    with racers(RACERS) as run:
        for _ in range(rounds(50)):
            key = uuid4()
            create = partial(create_assistant, actor=actor, graph_id="echo", assistant_id=key, if_exists=if_exists)
            found = run([partial(create, name=f"racer {number}") for number in range(RACERS)])
            row = Assistant.objects.get(pk=key)
            assert versions(row) == [1]
            assert row.versions.get().content() == row.content()
            if if_exists == "do_nothing":
                assert [one.name for one in found] == [row.name] * RACERS
            else:
                winners = [one for one in found if isinstance(one, Assistant)]
                assert [one.name for one in winners] == [row.name]
                assert sum(isinstance(one, AssistantExists) for one in found) == RACERS - 1


def test_control_looking_first_is_not_enough(actor: Actor) -> None:
    def naive(key: Any) -> Any:
        if (there := Assistant.objects.filter(pk=key).first()) is not None:
            return there
        return Assistant.objects.create(pk=key, owner=actor.owner, graph_id="echo", name="naive")

    found: list[Any] = []
    with racers(RACERS) as run:
        for _ in range(100):
            key = uuid4()
            found += run([partial(naive, key)] * RACERS)
            if any(isinstance(one, IntegrityError) for one in found):
                break
    assert any(isinstance(one, IntegrityError) for one in found), "the race was never run"


def test_concurrent_changes_are_versions_one_after_the_other(actor: Actor) -> None:
    assistant = create_assistant(actor=actor, graph_id="echo")
    times = rounds(30)
    with racers(RACERS) as run:
        for number in range(times):
            change = partial(update_assistant, actor=actor, assistant_id=assistant.pk)
            found = run([partial(change, metadata={f"{number}-{racer}": True}) for racer in range(RACERS)])
            assert sorted(one.version for one in found) == [number * RACERS + 2 + racer for racer in range(RACERS)]

    assistant.refresh_from_db()
    assert versions(assistant) == list(range(1, times * RACERS + 2))
    assert len(assistant.metadata) == times * RACERS, "no change was lost"
    assert assistant.versions.get(version=assistant.version).content() == assistant.content()


def test_control_without_the_lock_two_changes_take_the_same_number(actor: Actor) -> None:
    assistant = create_assistant(actor=actor, graph_id="echo")

    @transaction.atomic
    def naive() -> None:
        last = assistant.versions.aggregate(last=Max("version"))["last"]
        AssistantVersion.objects.create(assistant=assistant, version=last + 1, **assistant.content())

    found: list[Any] = []
    with racers(RACERS) as run:
        for _ in range(100):
            found += run([naive] * RACERS)
            if any(isinstance(one, IntegrityError) for one in found):
                break
    assert any(isinstance(one, IntegrityError) for one in found), "the race was never run"


def test_a_create_and_a_delete_of_one_id(actor: Actor) -> None:
    for _ in range(rounds(30)):
        key = uuid4()
        create_assistant(actor=actor, graph_id="echo", assistant_id=key)
        _, created = race(
            partial(delete_assistant, actor=actor, assistant_id=key),
            partial(create_assistant, actor=actor, graph_id="echo", assistant_id=key),
        )
        there = Assistant.objects.filter(pk=key).first()
        assert (there is not None) == isinstance(created, Assistant)
        assert there is None or versions(there) == [1]
        assert isinstance(created, Assistant | AssistantExists)


def test_concurrent_registrations_end_as_one(actor: Actor) -> None:
    with racers(RACERS) as run:
        for _ in range(rounds(20)):
            Assistant.objects.all().delete()
            Graph.objects.all().delete()
            found = run([register_assistants] * RACERS)
            assert [one.names for one in found] == [sorted(ASSISTANTS)] * RACERS
            ids = {registry.assistant_id(name) for name in ASSISTANTS}
            assert set(Assistant.objects.values_list("pk", flat=True)) == ids
            assert sorted(Graph.objects.values_list("pk", flat=True)) == sorted(ASSISTANTS)
            assert all(versions(row) == [1] for row in Assistant.objects.all())
