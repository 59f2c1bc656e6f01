"""Every route x {nobody, a stranger, a stranger who is an operator, the owner}; a denial also changes nothing."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from runs.models import Assistant, AssistantVersion, Checkpoint, IdempotencyKey, Run, RunEvent, Thread
from runs.services.api_keys import create_api_key, revoke_api_key
from tests.security.routes import CASES, Case, World, make_world, path_ids
from tests.support.api import Answer, make_api
from tests.support.factories import make_actor
from tests.support.fixtures import Outbox

_KEPT: tuple[type[Model], ...] = (
    Assistant,
    AssistantVersion,
    Thread,
    Run,
    Checkpoint,
    RunEvent,
    IdempotencyKey,
)


def _patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield entry
        elif entry.namespace != "admin":
            yield from _patterns(entry)


ROUTES = {str(pattern.name): "/" + str(pattern.pattern) for pattern in _patterns(get_resolver())}
METHODS = {
    (str(pattern.name), method.upper())
    for pattern in _patterns(get_resolver())
    for method in ("get", "post", "put", "patch", "delete")
    if hasattr(getattr(pattern.callback, "cls", None), method)
}
OBJECTS = sorted(key for key, case in CASES.items() if case.kind == "object")
GUARDED = sorted(key for key, case in CASES.items() if case.kind != "public")


def test_every_route_has_a_case() -> None:
    assert set(CASES) == METHODS


def send(client: Client, key: tuple[str, str], world: World, **headers: str) -> Answer:
    """The request of this case, about this world."""
    name, method = key
    case: Case = CASES[key]
    ids = path_ids(world)
    path = re.sub(r"<str:(\w+)>", lambda match: ids[match[1]], ROUTES[name]) + case.query
    body = case.body(world)
    content = b"" if body is None else json.dumps(body)
    return client.generic(method, path, content, content_type="application/json", headers=headers)


def snapshot() -> dict[str, list[Any]]:
    """Everything that a request could change."""
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in _KEPT}


@pytest.fixture
def world() -> World:
    """The owner's."""
    return make_world("ada")


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}])
@pytest.mark.parametrize("key", GUARDED)
def test_nobody_is_let_in(key: tuple[str, str], headers: dict[str, str], world: World, outbox: Outbox) -> None:
    outbox.clear()
    before = snapshot()
    response = send(Client(), key, world, **headers)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="runyard"'
    assert json.loads(response.content)["code"] in ("not_authenticated", "authentication_failed")
    assert snapshot() == before
    assert (outbox.published, outbox.told) == ([], [])


def _stranger(operator: bool) -> tuple[Client, dict[str, str]]:
    if not operator:
        return Client(), {"x-api-key": make_api("bob").key}
    user = make_actor("operator").owner
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    return client, {}


@pytest.mark.parametrize("operator", [False, True], ids=["stranger", "operator"])
@pytest.mark.parametrize("key", OBJECTS)
def test_a_strangers_object_looks_exactly_like_a_missing_one(
    key: tuple[str, str],
    operator: bool,
    world: World,
    outbox: Outbox,
    django_capture_on_commit_callbacks: Any,
) -> None:
    client, headers = _stranger(operator)
    missing = make_world("ada")
    _replace_ids(missing)
    outbox.clear()
    before = snapshot()

    with django_capture_on_commit_callbacks(execute=True):
        theirs = send(client, key, world, **headers)
        nothing = send(client, key, missing, **headers)

    assert theirs.status_code == 404
    assert _without_ids(theirs.content, world) == _without_ids(nothing.content, missing)
    assert _headers(theirs) == _headers(nothing)
    assert snapshot() == before
    assert (outbox.published, outbox.told) == ([], [])


def _replace_ids(world: World) -> None:
    """Turn a world into one that does not exist; its objects are not saved."""
    for row in (world.assistant, world.thread, world.checkpoint, world.begun, world.waiting):
        row.pk = uuid4()


def _without_ids(content: bytes, world: World) -> bytes:
    for number, row_id in enumerate(world.ids()):
        content = content.replace(row_id.encode(), f"<{number}>".encode())
    return content


def _headers(response: Answer) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "X-Request-ID"}


@pytest.mark.parametrize("operator", [False, True], ids=["stranger", "operator"])
@pytest.mark.parametrize("key", sorted(key for key, case in CASES.items() if case.kind == "mine"))
def test_a_stranger_meets_nothing_of_the_owners(key: tuple[str, str], operator: bool, world: World) -> None:
    client, headers = _stranger(operator)
    before = snapshot()
    response = send(client, key, world, **headers)

    assert response.status_code == CASES[key].status
    told = str(response.headers).encode() if response.streaming else response.content
    assert [one for one in world.ids() if one.encode() in told] == []
    assert told != b"1", "counts what the owner has"
    kept = {name: [row for row in rows if row in before[name]] for name, rows in snapshot().items()}
    assert kept == before


@pytest.mark.parametrize("key", sorted(CASES))
def test_the_owner_is_let_in(key: tuple[str, str], world: World) -> None:
    api = make_api("ada")
    response = send(Client(), key, world, **({} if CASES[key].kind == "public" else {"x-api-key": api.key}))
    assert response.status_code == CASES[key].status, response.content


def test_a_revoked_key_and_one_of_an_inactive_user_open_nothing(world: World) -> None:
    user = make_actor("ada").owner
    row, key = create_api_key(owner=user, name="lost")
    assert send(Client(), ("thread", "GET"), world, **{"x-api-key": key}).status_code == 200
    revoke_api_key(row.pk)
    assert send(Client(), ("thread", "GET"), world, **{"x-api-key": key}).status_code == 401

    _, other = create_api_key(owner=user, name="kept")
    user.is_active = False
    user.save()
    assert send(Client(), ("thread", "GET"), world, **{"x-api-key": other}).status_code == 401
