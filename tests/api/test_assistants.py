"""/assistants: read-only."""

from uuid import uuid4

import pytest

from runs.assistants import registry
from tests.support.api import Api, assert_problem


def search(api: Api, **body: object) -> list[str]:
    """The names found."""
    response = api.post("/assistants/search", body)
    assert response.status_code == 200, response.content
    return [assistant["name"] for assistant in response.json()]


def test_an_assistant_by_its_id(api: Api) -> None:
    shown = api.get(f"/assistants/{registry.assistant_id('echo')}").json()
    assert (shown["name"], shown["graph_id"], shown["version"]) == ("echo", "echo", 1)
    assert shown["metadata"] == {"created_by": "system"}
    assert shown["description"] == "Return what came in."


def test_unknown_ids_and_names_in_the_path(api: Api) -> None:
    assert_problem(api.get(f"/assistants/{uuid4()}"), 404, "assistant_not_found")
    assert_problem(api.get("/assistants/echo"), 422, "invalid_request", "Invalid assistant ID: must be a UUID")


def test_search(api: Api) -> None:
    assert sorted(search(api)) == ["echo", "hasty", "resumable"]
    assert search(api, graph_id="echo") == ["echo"]
    assert search(api, graph_id="ech") == []
    assert search(api, name="STY") == ["hasty"]
    assert search(api, metadata={"created_by": "system"}, sort_by="name", sort_order="asc", limit=2) == [
        "echo",
        "hasty",
    ]
    assert search(api, metadata={"created_by": "me"}) == []
    assert search(api, sort_by="name", sort_order="desc", offset=1) == ["hasty", "echo"]
    assert api.post("/assistants/search", {"limit": 1})["X-Pagination-Next"] == "1"


def test_count_and_select(api: Api) -> None:
    assert api.post("/assistants/count", {}).content == b"3"
    assert api.post("/assistants/count", {"name": "echo"}).content == b"1"
    api.checks_shape = False
    assert api.post("/assistants/search", {"name": "echo", "select": ["name"]}).json() == [{"name": "echo"}]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_assistants_cannot_be_changed(api: Api, method: str) -> None:
    path = f"/assistants/{registry.assistant_id('echo')}"
    assert_problem(api.request(method, path, {}), 405, "method_not_allowed", method)
