"""/assistants: the server's own, and those that people create."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from runs.assistants import registry
from runs.models import Assistant, Graph, Run, Thread
from runs.services import graphs
from tests.support.api import Api, assert_problem
from tests.support.factories import make_actor, make_run, make_thread

SYSTEM = str(registry.assistant_id("echo"))


def create(api: Api, **body: Any) -> Any:
    """What the create answers."""
    response = api.post("/assistants", {"graph_id": "echo", **body})
    assert response.status_code == 200, response.content
    return response.json()


def patch(api: Api, assistant_id: str, **body: Any) -> Any:
    """What the change answers."""
    response = api.patch(f"/assistants/{assistant_id}", body)
    assert response.status_code == 200, response.content
    return response.json()


def search(api: Api, **body: object) -> list[str]:
    """The names found."""
    response = api.post("/assistants/search", body)
    assert response.status_code == 200, response.content
    return [assistant["name"] for assistant in response.json()]


def without_times(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in ("created_at", "updated_at")}


def test_the_servers_own_assistant_by_its_id(api: Api) -> None:
    assert without_times(api.get(f"/assistants/{SYSTEM}").json()) == {
        "assistant_id": SYSTEM,
        "graph_id": "echo",
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "name": "echo",
        "description": "Return what came in.",
        "version": 1,
    }


def test_a_new_assistant(api: Api) -> None:
    shown = create(api, name="Mine", description="d", config={"tags": ["t"]}, context={"k": 1}, metadata={"m": 1})

    assert without_times(shown) == {
        "assistant_id": shown["assistant_id"],
        "graph_id": "echo",
        "config": {"tags": ["t"], "configurable": {"k": 1}},
        "context": {"k": 1},
        "metadata": {"m": 1},
        "name": "Mine",
        "description": "d",
        "version": 1,
    }
    assert shown["created_at"] <= shown["updated_at"]
    assert api.get(f"/assistants/{shown['assistant_id']}").json() == shown
    (version,) = api.post(f"/assistants/{shown['assistant_id']}/versions", {}).json()
    assert without_times(version) == without_times(shown)
    assert list(version) == [name for name in shown if name != "updated_at"]


def test_what_is_not_said_has_defaults(api: Api) -> None:
    shown = create(api, name=None, config=None)
    assert (shown["name"], shown["description"], shown["config"], shown["context"]) == ("Untitled", None, {}, {})
    assert shown["metadata"] == {}


def test_configurable_is_another_name_for_context(api: Api) -> None:
    shown = create(api, config={"configurable": {"k": 1}, "recursion_limit": 9})
    assert shown["context"] == {"k": 1}
    assert shown["config"] == {"configurable": {"k": 1}, "recursion_limit": 9}
    body = {"graph_id": "echo", "config": {"configurable": {"k": 1}}, "context": {"k": 2}}
    assert_problem(api.post("/assistants", body), 400, "contradictory_options")
    assert_problem(api.patch(f"/assistants/{shown['assistant_id']}", body), 400, "contradictory_options")


def test_an_id_that_is_taken(api: Api, stranger: Api) -> None:
    chosen = str(uuid4())
    mine = create(api, assistant_id=chosen.upper(), name="first")
    assert mine["assistant_id"] == chosen

    taken = {"graph_id": "echo", "assistant_id": chosen}
    assert_problem(api.post("/assistants", taken), 409, "assistant_exists", chosen)
    assert create(api, assistant_id=chosen, name="second", if_exists="do_nothing") == mine
    for if_exists in ("raise", "do_nothing"):
        theirs = stranger.post("/assistants", {**taken, "if_exists": if_exists})
        assert_problem(theirs, 409, "assistant_exists", chosen)
    own = create(stranger, assistant_id=SYSTEM, name="mine", if_exists="do_nothing")
    assert (own["name"], own["metadata"]) == ("echo", {"created_by": "system"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["graph_id"]),
        ({"graph_id": None}, ["graph_id"]),
        ({"graph_id": 5}, ["graph_id"]),
        ({"graph_id": "echo", "assistant_id": "x"}, ["assistant_id"]),
        ({"graph_id": "echo", "name": "n" * 256}, ["name"]),
        ({"graph_id": "echo", "name": 1}, ["name"]),
        ({"graph_id": "echo", "config": []}, ["config"]),
        ({"graph_id": "echo", "context": "x"}, ["context"]),
        ({"graph_id": "echo", "metadata": 1}, ["metadata"]),
        ({"graph_id": "echo", "if_exists": "replace"}, ["if_exists"]),
        ({"graph_id": "echo", "version": 3}, ["version", "not known"]),
    ],
)
def test_a_bad_create_says_what_is_wrong(api: Api, body: Any, words: list[str]) -> None:
    before = Assistant.objects.count()
    assert_problem(api.post("/assistants", body), 422, "invalid_request", *words)
    assert Assistant.objects.count() == before


def test_a_graph_that_is_not_there(api: Api) -> None:
    said = "Graph 'nobody' not found. Expected one of: echo, hasty, resumable."
    assert_problem(api.post("/assistants", {"graph_id": "nobody"}), 404, "graph_not_found", said)
    mine = create(api)["assistant_id"]
    assert_problem(api.patch(f"/assistants/{mine}", {"graph_id": "nobody"}), 404, "graph_not_found", said)
    assert api.get(f"/assistants/{mine}").json()["version"] == 1


def test_a_change_is_a_new_version(api: Api) -> None:
    mine = create(api, name="one", context={"a": 1}, config={"tags": ["x"]}, metadata={"a": 1, "b": 1})
    key = mine["assistant_id"]

    second = patch(api, key, name="two", metadata={"b": 2, "c": None})
    assert second["version"] == 2
    assert (second["name"], second["metadata"]) == ("two", {"a": 1, "b": 2, "c": None})
    assert (second["config"], second["context"]) == (mine["config"], mine["context"])
    assert second["created_at"] == mine["created_at"] < second["updated_at"]

    third = patch(api, key, config={"recursion_limit": 3})
    assert third["config"] == {"recursion_limit": 3, "configurable": {"a": 1}}
    fourth = patch(api, key, context={"z": 1})
    assert fourth["config"] == {"recursion_limit": 3, "configurable": {"z": 1}}
    assert patch(api, key, config={"configurable": {}})["context"] == {}
    assert patch(api, key, graph_id="hasty")["graph_id"] == "hasty"
    assert patch(api, key)["version"] == 7


def test_versions(api: Api) -> None:
    key = create(api, name="one", metadata={"n": 1})["assistant_id"]
    patch(api, key, name="two", metadata={"n": 2})
    patch(api, key, name="three")

    def names(**body: Any) -> list[str]:
        return [version["name"] for version in api.post(f"/assistants/{key}/versions", body).json()]

    assert names() == ["three", "two", "one"]
    assert names(limit=1, offset=1) == ["two"]
    assert names(metadata={"n": 2}) == ["three", "two"]
    assert names(limit=0) == []
    assert [one["version"] for one in api.post(f"/assistants/{key}/versions", {}).json()] == [3, 2, 1]
    assert [one["version"] for one in api.post(f"/assistants/{SYSTEM}/versions", {}).json()] == [1]
    assert_problem(api.post(f"/assistants/{key}/versions", {"limit": -1}), 422, "invalid_request", "limit")


def test_a_former_version_is_put_in_force_with_all_it_says(api: Api) -> None:
    first = create(api, name="one", context={"a": 1}, metadata={"n": 1}, description="d")
    key = first["assistant_id"]
    patch(api, key, name="two", context={"b": 1}, metadata={"m": 1}, graph_id="hasty", description="e")

    back = api.post(f"/assistants/{key}/latest", {"version": 1}).json()
    assert {**back, "updated_at": first["updated_at"]} == first
    assert api.get(f"/assistants/{key}").json() == back
    assert patch(api, key, name="three")["version"] == 3
    missing = api.post(f"/assistants/{key}/latest", {"version": 9})
    assert_problem(missing, 404, "version_not_found", f"Version 9 not found for assistant {key}")
    assert_problem(api.post(f"/assistants/{key}/latest", {}), 422, "invalid_request", "version")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/latest", {"version": 1})],
)
def test_the_servers_own_cannot_be_changed(api: Api, method: str, path: str, body: Any) -> None:
    assert_problem(api.request(method, f"/assistants/{SYSTEM}{path}", body), 409, "system_assistant", "graph_id")
    assert api.get(f"/assistants/{SYSTEM}").json()["version"] == 1


def test_a_deleted_assistant_is_gone_and_what_it_has_done_stays(api: Api) -> None:
    key = create(api)["assistant_id"]
    run = api.post("/runs", {"assistant_id": key, "on_completion": "keep"}).json()

    assert api.delete(f"/assistants/{key}").status_code == 204
    assert_problem(api.get(f"/assistants/{key}"), 404, "assistant_not_found", f"Assistant with ID {key} not found")
    assert_problem(api.delete(f"/assistants/{key}"), 404, "assistant_not_found")
    assert api.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}").json()["assistant_id"] == key
    again = api.post("/runs", {"assistant_id": key})
    assert_problem(again, 404, "assistant_not_found", f"Assistant with ID {key} not found")
    assert create(api, assistant_id=key)["version"] == 1


def test_a_deleted_assistant_takes_threads_with_it_if_asked(api: Api) -> None:
    key, other = create(api)["assistant_id"], create(api)["assistant_id"]
    runs = [api.post("/runs", {"assistant_id": one, "on_completion": "keep"}).json() for one in (key, other)]

    assert api.delete(f"/assistants/{key}?delete_threads=true").status_code == 204
    assert [api.get(f"/threads/{run['thread_id']}").status_code for run in runs] == [404, 200]
    assert_problem(api.delete(f"/assistants/{other}?delete_threads=x"), 422, "invalid_request", "delete_threads")


def test_unknown_ids_and_names_in_the_path(api: Api) -> None:
    assert_problem(api.get(f"/assistants/{uuid4()}"), 404, "assistant_not_found")
    assert_problem(api.patch(f"/assistants/{uuid4()}", {}), 404, "assistant_not_found")
    assert_problem(api.post(f"/assistants/{uuid4()}/latest", {"version": 1}), 404, "assistant_not_found")
    assert_problem(api.get("/assistants/echo"), 422, "invalid_request", "Invalid assistant ID: must be a UUID")


def test_search(api: Api, stranger: Api) -> None:
    assert sorted(search(api)) == ["echo", "hasty", "resumable"]
    create(api, name="Hastings", metadata={"team": {"name": "a", "size": 2}})
    create(stranger, name="secret")

    assert search(api)[0] == "Hastings"
    assert search(api, graph_id="echo") == ["Hastings", "echo"]
    assert search(api, graph_id="ech") == []
    assert search(api, name="HAST", sort_by="name", sort_order="asc") == ["Hastings", "hasty"]
    assert search(api, name="secret") == search(api, name="%") == []
    assert search(api, metadata={"team": {"size": 2}}) == ["Hastings"]
    assert search(api, metadata={"created_by": "system"}, sort_by="name", sort_order="asc", limit=2) == [
        "echo",
        "hasty",
    ]
    assert search(api, sort_by="graph_id", sort_order="desc", offset=1, limit=1) == ["hasty"]
    assert search(api, sort_by="assistant_id") == search(api, sort_by="assistant_id", sort_order="asc")[::-1]
    assert search(api, limit=0) == []
    first = api.post("/assistants/search", {"limit": 3})
    assert (first["X-Pagination-Next"], first["X-Pagination-Total"]) == ("3", "4")
    assert "X-Pagination-Next" not in api.post("/assistants/search", {"limit": 4})


@pytest.mark.parametrize("body", [{"sort_by": "version"}, {"sort_order": "up"}, {"select": ["x"]}, {"limit": 1001}])
def test_a_bad_search_says_what_is_wrong(api: Api, body: dict[str, Any]) -> None:
    assert_problem(api.post("/assistants/search", body), 422, "invalid_request", *body)


def test_count_and_select(api: Api, stranger: Api) -> None:
    create(stranger)
    assert api.post("/assistants/count", {}).content == b"3"
    assert stranger.post("/assistants/count", {"graph_id": "echo"}).content == b"2"
    assert api.post("/assistants/count", {"name": "ech"}).content == b"1"
    api.checks_shape = False
    found = api.post("/assistants/search", {"name": "echo", "select": ["name", "version"]}).json()
    assert found == [{"name": "echo", "version": 1}]


def run_of(api: Api, assistant_id: str, **body: Any) -> Any:
    response = api.post("/runs", {"assistant_id": assistant_id, "on_completion": "keep", **body})
    assert response.status_code == 200, response.content
    return response.json()


def test_a_run_of_an_assistant_has_its_options_below_its_own(api: Api) -> None:
    mine = create(
        api,
        config={"tags": ["A"], "recursion_limit": 9, "metadata": {"of": "assistant"}},
        context={"k": "assistant", "only": "assistant", "model_name": "small"},
        metadata={"m": "assistant", "both": "assistant"},
    )
    key = mine["assistant_id"]

    plain = run_of(api, key)
    assert (plain["assistant_id"], plain["model_name"]) == (key, "small")
    assert plain["metadata"] == {"m": "assistant", "both": "assistant", "graph_id": "echo", "assistant_id": key}
    assert plain["kwargs"]["config"] == mine["config"]
    assert plain["kwargs"]["context"] == mine["context"]

    own = {"tags": ["R"], "configurable": {"k": "run"}, "metadata": {"both": "config", "c": 1}}
    over = run_of(api, key, config=own, metadata={"both": "run"})
    shared = {"k": "run", "only": "assistant", "model_name": "small"}
    assert over["metadata"] == {"m": "assistant", "both": "run", "c": 1, "graph_id": "echo", "assistant_id": key}
    assert over["kwargs"]["config"] == {**own, "recursion_limit": 9, "configurable": shared}
    assert over["kwargs"]["context"] == shared
    assert run_of(api, key, context={"k": "run"})["kwargs"]["context"] == shared

    row = Run.objects.get(pk=over["run_id"])
    assert (row.assistant, row.assistant_id) == ("echo", UUID(key))
    thread = Thread.objects.get(pk=over["thread_id"])
    assert (thread.metadata["graph_id"], thread.metadata["assistant_id"]) == ("echo", key)


def test_a_run_has_the_options_that_were_in_force_when_it_was_accepted(api: Api) -> None:
    key = create(api, context={"k": 1})["assistant_id"]
    before = run_of(api, key)
    patch(api, key, context={"k": 2}, graph_id="hasty")
    after = run_of(api, key)

    shown = api.get(f"/threads/{before['thread_id']}/runs/{before['run_id']}").json()
    assert (shown["kwargs"]["context"], shown["metadata"]["graph_id"]) == ({"k": 1}, "echo")
    assert (after["kwargs"]["context"], after["metadata"]["graph_id"], after["timeout_seconds"]) == (
        {"k": 2},
        "hasty",
        7,
    )


def test_a_strangers_assistant_executes_nothing(api: Api, stranger: Api) -> None:
    key = create(api)["assistant_id"]
    theirs = stranger.post("/runs", {"assistant_id": key})
    missing = stranger.post("/runs", {"assistant_id": str(uuid4())})
    assert_problem(theirs, 404, "assistant_not_found", f"Assistant with ID {key} not found")
    assert_problem(missing, 404, "assistant_not_found")
    assert_problem(stranger.get(f"/assistants/{key}/graph"), 404, "assistant_not_found")


def test_a_run_from_before_assistants_could_be_created_shows_the_servers_own(api: Api) -> None:
    run = make_run(make_thread(make_actor("ada")))
    Run.objects.filter(pk=run.pk).update(assistant_id=None)
    assert api.get(f"/threads/{run.thread_id}/runs/{run.pk}").json()["assistant_id"] == SYSTEM


def test_admission_by_name_and_by_the_servers_own_id_asks_for_nothing_more(
    api: Api, django_assert_num_queries: Any
) -> None:
    """And by the id of an assistant that somebody has created, for one row."""
    from runs.services.chosen import choose_assistant

    key = create(api)["assistant_id"]
    for name_or_id, queries in (("echo", 0), (SYSTEM, 0), (key, 1)):
        with django_assert_num_queries(queries):
            choose_assistant(name_or_id, owner=api.user)


def test_an_assistant_that_only_workers_have(api: Api, django_assert_num_queries: Any) -> None:
    from runs.services.chosen import choose_assistant

    graphs.forget()
    Graph.objects.create(name="remote", timeout_seconds=5)
    run = run_of(api, "remote")
    assert (run["timeout_seconds"], run["metadata"]["graph_id"]) == (5, "remote")
    assert run["assistant_id"] == str(registry.assistant_id("remote"))
    with django_assert_num_queries(0):
        choose_assistant("remote", owner=api.user)
    assert create(api, graph_id="remote")["graph_id"] == "remote"
    unknown = api.post("/runs", {"assistant_id": "nobody"})
    assert_problem(unknown, 422, "unknown_assistant", "echo, hasty, remote, resumable")
    graphs.forget()


def test_the_id_of_an_assistant_that_only_workers_have(api: Api) -> None:
    graphs.forget()
    Graph.objects.create(name="remote")
    key = registry.assistant_id("remote")
    Assistant.objects.create(pk=key, graph_id="remote", name="remote", metadata={"created_by": "system"})
    run = run_of(api, str(key))
    assert run["assistant_id"] == str(key)
    assert run["metadata"] == {"created_by": "system", "graph_id": "remote", "assistant_id": str(key)}
    graphs.forget()
