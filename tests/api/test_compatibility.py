"""The page on compatibility says what is true: its tables are held against the routes, the document and the answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern
from rest_framework import serializers

from runs.api import urls
from runs.api.fields import NothingField, StrictSerializer
from runs.api.run_requests import STREAM_MODES, RunCreate
from tests.support.api import Api, assert_problem, document
from tests.support.factories import make_actor, make_run, make_thread

PAGE = Path(__file__).parents[2] / "docs/reference/langgraph-compatibility.md"
_REQUEST = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/\S*)`")


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under this heading, without its head."""
    section = re.split(rf"^## {re.escape(heading)}$", PAGE.read_text(), flags=re.MULTILINE)[1]
    lines = re.split(r"^## ", section, flags=re.MULTILINE)[0].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    found = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" |")])
    return found


def request_of(cell: str) -> tuple[str, str]:
    found = _REQUEST.fullmatch(cell)
    assert found is not None, cell
    return found[1], found[2]


REQUESTS = {request_of(row[0]): row[1] for row in table("Requests")}
REFUSED = table("What is refused")
WITHOUT_EFFECT = table("What is accepted and has no effect")
MEMBERS = {row[0].strip("`"): row[1] for row in table("The body of a create")}


def routes() -> set[tuple[str, str]]:
    """Every method of every route of the API."""
    found = set()
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        path = "/" + re.sub(r"<str:(\w+)>", r"{\1}", str(pattern.pattern))
        view: Any = getattr(pattern.callback, "cls", None)
        found |= {(name.upper(), path) for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)}
    return found


@pytest.fixture
def ids() -> dict[str, str]:
    """A thread with a run in flight."""
    run = make_run(make_thread(make_actor("ada")))
    ids = {"thread_id": run.thread_id, "run_id": run.pk, "assistant_id": run.assistant_id, "cron_id": run.pk}
    return {name: str(one) for name, one in ids.items()}


def send(api: Api, request: tuple[str, str], sent: str, ids: dict[str, str]) -> Any:
    """What is in the second column goes into the query or into the body."""
    method, path = request
    query, body = (sent, None) if sent.startswith("?") else ("", sent or None)
    return api.request(method, path.format(**ids) + query, body)


def test_every_route_is_on_the_page_and_no_other() -> None:
    there = {request for request, here in REQUESTS.items() if here in ("same", "different", "ours")}
    described = {
        (method.upper(), path)
        for path, methods in document()["paths"].items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    }

    assert there == routes()
    assert there == described


@pytest.mark.parametrize("request_", [one for one, here in REQUESTS.items() if here.isdigit()], ids=" ".join)
def test_what_is_not_there_answers_as_the_page_says(api: Api, ids: dict[str, str], request_: tuple[str, str]) -> None:
    code = {"404": "not_found", "405": "method_not_allowed"}[REQUESTS[request_]]
    assert_problem(send(api, request_, "{}", ids), int(REQUESTS[request_]), code)


def test_every_word_of_the_second_column_is_explained() -> None:
    assert {here for here in REQUESTS.values() if not here.isdigit()} == {"same", "different", "ours"}
    assert set(MEMBERS.values()) == {"same", "different", "ignored", "refused", "ours"}


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row[0]} {row[1]}".replace("`", ""))
def test_what_the_page_says_is_refused_is_refused(api: Api, ids: dict[str, str], row: list[str]) -> None:
    said = re.fullmatch(r"(\d{3}) `(\w+)`", row[2])
    assert said is not None
    before = api.get(f"/threads/{ids['thread_id']}/runs").json()

    assert_problem(send(api, request_of(row[0]), row[1].strip("`"), ids), int(said[1]), said[2])
    assert api.get(f"/threads/{ids['thread_id']}/runs").json() == before


@pytest.mark.parametrize("row", WITHOUT_EFFECT, ids=lambda row: f"{row[0]} {row[1]}".replace("`", ""))
def test_what_the_page_says_has_no_effect_is_accepted(api: Api, ids: dict[str, str], row: list[str]) -> None:
    sent = row[1].strip("`").replace('{"assistant_id"', '{"multitask_strategy": "enqueue", "assistant_id"')
    assert send(api, request_of(row[0]), sent, ids).status_code in (200, 202)


def _kinds(kind: type[StrictSerializer]) -> list[type[StrictSerializer]]:
    return [kind, *(found for derived in kind.__subclasses__() for found in _kinds(derived))]


def _refused_members() -> set[str]:
    fields = [field for kind in _kinds(StrictSerializer) for field in kind().fields.items()]
    return {name for name, field in fields if isinstance(field, NothingField)}


def test_every_option_that_is_refused_is_on_the_page() -> None:
    shown = {key for row in REFUSED for key in re.findall(r'"(\w+)":', row[1])}

    assert _refused_members() - shown == set()


def test_every_member_of_a_create_is_on_the_page() -> None:
    fields = RunCreate().fields

    assert set(MEMBERS) == set(fields)
    assert {name for name, here in MEMBERS.items() if here == "refused"} == {
        name for name, field in fields.items() if isinstance(field, NothingField)
    }


def test_every_stream_mode_is_on_the_page() -> None:
    section = PAGE.read_text().split("| Mode | Events |")[1].split("\n\n")[0]

    assert tuple(sorted(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE))) == tuple(sorted(STREAM_MODES))


@pytest.mark.parametrize("compat", ["", "langgraph"])
def test_the_defaults_are_what_the_page_says(api: Api, settings: Any, compat: str) -> None:
    settings.RUNS = {**settings.RUNS, "COMPAT": compat}
    column = 3 if compat else 2
    said = {row[0].strip("`"): row[column].strip("`") for row in table("Defaults")}
    run = api.post("/runs", {"assistant_id": "echo", "on_completion": "keep"}).json()

    assert {name: run[name] for name in said} == said


def test_a_choice_that_is_narrower_than_langgraphs_is_on_the_page() -> None:
    choices = {
        name: set(field.choices)
        for name, field in RunCreate().fields.items()
        if isinstance(field, serializers.ChoiceField)
    }
    narrower = {"on_completion": {"delete"}}
    shown = [json.loads(row[1].strip("`")) for row in REFUSED if row[1].startswith('`{"assistant_id": "echo"')]

    for name, values in narrower.items():
        assert not choices[name] & values
        assert values <= {str(body.get(name)) for body in shown}
