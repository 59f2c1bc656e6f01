"""What the API does not show of assistants: the registration, and what is refused to callers in Python."""

import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from runs import registrar
from runs.assistants import registry
from runs.errors import AssistantNotFound, GraphNotFound, InvalidJSON, InvalidRequest, SystemAssistant
from runs.models import Assistant, AssistantVersion, Graph
from runs.services import graphs, registration
from runs.services.assistant_search import AssistantFilter, list_versions, search_assistants
from runs.services.assistants import create_assistant, delete_assistant, update_assistant
from runs.services.chosen import choose_assistant
from runs.services.registration import forget_others, register_assistants
from tests.support.factories import ASSISTANTS, create, make_actor, make_thread

PROJECT = Path(__file__).parents[1] / "support/project/langgraph.json"
ECHO = registry.assistant_id("echo")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing is remembered of the rows of another test."""
    graphs.forget()
    yield
    graphs.forget()


def rows() -> dict[str, Any]:
    """Everything that a registration writes, without times."""
    hidden = {"created_at", "updated_at", "described_at", "id"}
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in hidden}
            for row in model.objects.order_by("pk").values()
        ]
        for model in (Graph, Assistant, AssistantVersion)
    }


def test_each_function_gets_its_description_and_its_assistant() -> None:
    done = register_assistants()
    assert (done.names, done.problems) == (sorted(ASSISTANTS), {})
    assert {row.pk: row.timeout_seconds for row in Graph.objects.all()} == {"echo": None, "hasty": 7, "resumable": None}
    own = Assistant.objects.get(pk=ECHO)
    assert (own.owner, own.version, own.metadata) == (None, 1, {"created_by": "system"})
    assert [version.content() for version in own.versions.all()] == [own.content()]


def test_a_second_registration_changes_nothing() -> None:
    register_assistants()
    before, born = rows(), Assistant.objects.get(pk=ECHO).created_at
    register_assistants()
    own = Assistant.objects.get(pk=ECHO)
    assert rows() == before
    assert (own.created_at, own.updated_at) == (born, born)


def test_a_description_that_has_changed_is_shown() -> None:
    register_assistants()
    Assistant.objects.filter(pk=ECHO).update(description="old")
    AssistantVersion.objects.filter(assistant=ECHO).update(description="old")
    Graph.objects.filter(pk="echo").update(description="old", timeout_seconds=1)
    register_assistants(names=["echo"])

    own, graph = Assistant.objects.get(pk=ECHO), Graph.objects.get(pk="echo")
    assert own.description == graph.description == own.versions.get().description == "Return what came in."
    assert graph.timeout_seconds is None
    assert own.updated_at > own.created_at


def test_what_is_not_there_any_more_is_forgotten_only_when_asked() -> None:
    mine = create_assistant(actor=make_actor(), graph_id="echo")
    register_assistants()
    Graph.objects.create(name="gone")
    Assistant.objects.create(graph_id="gone", name="gone")
    Assistant.objects.filter(pk=mine.pk).update(graph_id="gone")
    register_assistants()
    assert Graph.objects.filter(pk="gone").exists()

    assert forget_others() == ["gone"]
    assert sorted(Assistant.objects.values_list("name", flat=True)) == ["Untitled", "echo", "hasty", "resumable"]
    assert sorted(Graph.objects.values_list("pk", flat=True)) == ["echo", "hasty", "resumable"]


def test_an_id_that_somebody_has_taken_before_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    theirs = create_assistant(actor=make_actor(), graph_id="hasty", assistant_id=ECHO, name="squatter")
    with caplog.at_level(logging.ERROR):
        register_assistants()
    assert f"the id of echo, {ECHO}, is that of an assistant which somebody created" in caplog.text
    assert Assistant.objects.get(pk=ECHO).name == theirs.name
    assert list(theirs.versions.values_list("graph_id", flat=True)) == ["hasty"]
    assert choose_assistant(str(ECHO), owner=make_actor().owner).graph_id == "echo", "the name decides who executes"


def test_the_command_names_what_it_has_done() -> None:
    Graph.objects.create(name="gone")
    out = StringIO()
    call_command("register_assistants", "echo", stdout=out)
    call_command("register_assistants", prune=True, stdout=out)
    assert out.getvalue().splitlines() == [
        "echo: registered",
        "echo: registered",
        "hasty: registered",
        "resumable: registered",
        "gone: forgotten",
    ]


@pytest.fixture
def project(settings: Settings) -> Iterator[None]:
    """The graphs of tests/support/project are registered, too."""
    settings.RUNS = {**settings.RUNS, "LANGGRAPH_CONFIG": str(PROJECT)}
    registry.forget()
    yield
    registry.forget()


def test_graphs_are_described_and_one_that_cannot_be_loaded_keeps_no_other_from_it(project: None) -> None:
    out, err = StringIO(), StringIO()
    call_command("register_assistants", stdout=out, stderr=err)
    broken = {row.pk for row in Graph.objects.exclude(problem="")}

    assert broken
    assert {line.partition(":")[0] for line in out.getvalue().splitlines()} == set(registry.registered()) - broken
    assert {line.partition(":")[0] for line in err.getvalue().splitlines()} == broken
    assert set(Assistant.objects.values_list("name", flat=True)) == set(registry.registered())
    for graph in Graph.objects.filter(problem="").exclude(pk__in=ASSISTANTS):
        assert set(graph.schemas) == set(graphs.SCHEMAS)
        assert all(set(drawing) == {"nodes", "edges"} for drawing in graph.drawings)
        assert not any("id" in node.get("data", {}) for drawing in graph.drawings for node in drawing["nodes"])


def test_where_a_graph_cannot_be_loaded_nobody_elses_description_is_lost(project: None) -> None:
    register_assistants()
    broken = Graph.objects.exclude(problem="").first()
    assert broken is not None
    Graph.objects.filter(pk=broken.pk).update(problem="", drawings=[{"nodes": [], "edges": []}])
    assert register_assistants(names=[broken.pk]).problems.keys() == {broken.pk}
    assert Graph.objects.get(pk=broken.pk).drawings == [{"nodes": [], "edges": []}]


def test_a_worker_registers_functions_itself_and_has_graphs_described_elsewhere(
    project: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[str] = []
    monkeypatch.setattr(registrar, "_describe", described.extend)
    monkeypatch.setattr(connections, "close_all", lambda: None)  # the test's own
    registrar.register()
    assert set(Graph.objects.values_list("pk", flat=True)) == set(ASSISTANTS)
    assert set(described) == set(registry.registered()) - set(ASSISTANTS)


def test_a_registration_that_fails_stops_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr(registration, "register_assistants", fail)
    monkeypatch.setattr(connections, "close_all", lambda: None)
    with caplog.at_level(logging.ERROR):
        registrar.register()
    assert "assistants could not be registered" in caplog.text


def test_what_cannot_be_stored_is_refused() -> None:
    actor = make_actor()
    with pytest.raises(InvalidJSON, match="context"):
        create_assistant(actor=actor, graph_id="echo", context={"a": "\x00"})
    with pytest.raises(InvalidRequest, match="255"):
        create_assistant(actor=actor, graph_id="echo", name="n" * 256)
    with pytest.raises(GraphNotFound):
        create_assistant(actor=actor, graph_id="nobody")
    assert not Assistant.objects.exists()


def test_the_owner_decides_who_sees_and_changes_what() -> None:
    register_assistants()
    ada, bob = make_actor("ada"), make_actor("bob")
    mine = create_assistant(actor=ada, graph_id="echo")
    wanted = AssistantFilter(graph_id="echo")
    assert [one.pk for one in search_assistants(owner=bob.owner, wanted=wanted, limit=9)] == [ECHO]
    assert [one.pk for one in search_assistants(owner=None, wanted=wanted, limit=9)] == [mine.pk, ECHO]
    with pytest.raises(AssistantNotFound):
        update_assistant(actor=bob, assistant_id=mine.pk, name="x")
    with pytest.raises(AssistantNotFound):
        delete_assistant(actor=bob, assistant_id=mine.pk)
    with pytest.raises(SystemAssistant):
        delete_assistant(actor=ada, assistant_id=ECHO)
    with pytest.raises(InvalidRequest):
        list_versions(assistant_id=mine.pk, owner=None, limit=-1)


def test_an_accepted_run_needs_its_assistant_no_more() -> None:
    actor = make_actor()
    mine = create_assistant(actor=actor, graph_id="echo", context={"k": 1})
    run = create(make_thread(actor), assistant=str(mine.pk)).run
    delete_assistant(actor=actor, assistant_id=mine.pk)
    run.refresh_from_db()
    assert (run.assistant, run.assistant_id, run.kwargs["context"]) == ("echo", mine.pk, {"k": 1})
