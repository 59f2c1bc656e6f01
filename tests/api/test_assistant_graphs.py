"""/assistants/{assistant_id}/graph, /schemas and /subgraphs: what a registration has written, without the graph."""

from typing import Any

import pytest

from runs.assistants import registry
from runs.models import Graph
from runs.services import graphs
from runs.services.assistants import create_assistant
from tests.support.api import Api, assert_problem
from tests.support.factories import make_actor

SCHEMAS: dict[str, Any] = {
    "input_schema": {"title": "In", "type": "object"},
    "output_schema": None,
    "state_schema": {"title": "State", "type": "object"},
    "config_schema": {},
    "context_schema": None,
}


def drawing(depth: int) -> dict[str, Any]:
    """A drawing that says how much of it is open."""
    return {"nodes": [{"id": f"depth {depth}"}, {"id": "__end__"}], "edges": [{"source": "a", "target": "__end__"}]}


@pytest.fixture
def tree() -> str:
    """The id of an assistant whose graph has a subgraph in a subgraph."""
    graphs.forget()
    subgraphs = {"outer": SCHEMAS, "outer|inner": {**SCHEMAS, "config_schema": None}}
    Graph.objects.create(
        name="tree", schemas=SCHEMAS, drawings=[drawing(0), drawing(1), drawing(2)], subgraphs=subgraphs
    )
    return str(create_assistant(actor=make_actor("ada"), graph_id="tree").pk)


@pytest.mark.parametrize(
    ("query", "depth"),
    [("", 0), ("?xray=false", 0), ("?xray=1", 1), ("?xray=2", 2), ("?xray=9", 2), ("?xray=true", 2), ("?xray=True", 2)],
)
def test_a_drawing_with_subgraphs_opened(api: Api, tree: str, query: str, depth: int) -> None:
    assert api.get(f"/assistants/{tree}/graph{query}").json() == drawing(depth)


@pytest.mark.parametrize("xray", ["0", "-1", "x", "", "1.5", "²", "1001", "99999999999"])
def test_a_bad_xray(api: Api, tree: str, xray: str) -> None:
    assert_problem(api.get(f"/assistants/{tree}/graph?xray={xray}"), 422, "invalid_request", "xray")


def test_schemas(api: Api, tree: str) -> None:
    assert api.get(f"/assistants/{tree}/schemas").json() == {"graph_id": "tree", **SCHEMAS}


def test_subgraphs(api: Api, tree: str) -> None:
    def names(path: str) -> list[str]:
        return list(api.get(f"/assistants/{tree}/subgraphs{path}").json())

    assert api.get(f"/assistants/{tree}/subgraphs").json() == {"outer": SCHEMAS}
    assert names("?recurse=true") == ["outer", "outer|inner"]
    assert names("/outer") == ["outer"]
    assert names("/outer%7Cinner") == []
    assert names("/outer%7Cinner?recurse=true") == ["outer|inner"]
    assert names("/other") == []
    assert_problem(api.get(f"/assistants/{tree}/subgraphs?recurse=x"), 422, "invalid_request", "recurse")


def test_a_function_is_a_graph_with_one_node(api: Api) -> None:
    key = registry.assistant_id("echo")
    assert api.get(f"/assistants/{key}/graph?xray=true").json() == {
        "nodes": [
            {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
            {"id": "echo", "type": "runnable", "data": {"name": "echo"}},
            {"id": "__end__"},
        ],
        "edges": [{"source": "__start__", "target": "echo"}, {"source": "echo", "target": "__end__"}],
    }
    assert api.get(f"/assistants/{key}/schemas").json() == {"graph_id": "echo", **dict.fromkeys(SCHEMAS)}
    assert api.get(f"/assistants/{key}/subgraphs").json() == {}


def test_the_name_of_a_graph_does_as_well(api: Api) -> None:
    assert api.get("/assistants/echo/graph").json()["nodes"][1]["id"] == "echo"
    assert api.get("/assistants/echo/schemas").json()["graph_id"] == "echo"
    assert_problem(api.get("/assistants/nobody/graph"), 422, "unknown_assistant")


def test_a_graph_that_nobody_could_describe(api: Api) -> None:
    graphs.forget()
    Graph.objects.create(name="broken", problem="Graph 'broken' (/srv/secret/graph.py:graph) cannot be loaded")
    refused = api.get("/assistants/broken/graph")
    assert_problem(refused, 404, "graph_not_described", "worker")
    assert b"secret" not in refused.content
