"""A web process remembers the keys it has just seen, and yet none that is gone opens anything."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from runs.models import ApiKey, ClockTimestamp, Run
from runs.services.api_keys import RECALLED_SECONDS, create_api_key, find_api_key, recall_api_key, revoke_api_key
from runs.services.assistants import create_assistant
from tests.security.routes import CASES, World, make_world
from tests.security.test_identities import send, snapshot
from tests.support.api import Answer, assert_problem
from tests.support.factories import make_actor, make_thread
from tests.support.fixtures import Outbox
from tests.support.ledger import wait_until

CREATES = [
    ("runs", "POST"),
    ("run-wait", "POST"),
    ("run-create-stream", "POST"),
    ("stateless-runs", "POST"),
    ("stateless-wait", "POST"),
    ("stateless-stream", "POST"),
]
#: What a key of a moment ago meets, by the body and the thread it names.
REFUSED: dict[str, Callable[[World], tuple[str, Any]]] = {
    "a missing thread": lambda world: (str(uuid4()), {"assistant_id": "echo"}),
    "no id": lambda world: ("x", {"assistant_id": "echo"}),
    "a busy thread": lambda world: (str(world.thread.pk), {"assistant_id": "echo", "multitask_strategy": "reject"}),
    "no JSON": lambda world: (str(world.thread.pk), "{"),
    "an unknown option": lambda world: (str(world.thread.pk), {"assistant_id": "echo", "unknown": 1}),
    "a missing assistant": lambda world: (str(world.thread.pk), {"assistant_id": str(uuid4())}),
    "an unknown graph": lambda world: (str(world.thread.pk), {"assistant_id": "unknown"}),
    "a missing checkpoint": lambda world: (
        str(world.thread.pk),
        {"assistant_id": "echo", "multitask_strategy": "enqueue", "checkpoint_id": str(uuid4())},
    ),
    "an unknown query": lambda world: (f"{world.thread.pk}/runs/wait?unknown=1", {"assistant_id": "echo"}),
}


@pytest.fixture
def world() -> World:
    """What the key's owner has."""
    return make_world("ada")


@pytest.fixture
def key(world: World) -> str:
    """A key of ada's that this process remembers."""
    _, readable = create_api_key(owner=world.thread.owner, name="laptop")
    assert find_api_key(readable) is not None
    assert recall_api_key(readable) is not None
    return readable


def _revoke(key: ApiKey) -> None:
    assert revoke_api_key(key.pk)


def _deactivate(key: ApiKey) -> None:
    type(key.owner).objects.filter(pk=key.owner.pk).update(is_active=False)


ENDINGS: dict[str, Callable[[ApiKey], Any]] = {
    "revoked": _revoke,
    "deleted": lambda key: key.delete(),
    "inactive": _deactivate,
}


def end(how: str) -> None:
    ENDINGS[how](ApiKey.objects.get())


def assert_refused(response: Answer) -> None:
    assert_problem(response, 401, "authentication_failed")
    assert response["WWW-Authenticate"] == 'Bearer realm="runyard"'


@pytest.mark.parametrize("case", [(route, how) for route in CREATES for how in sorted(ENDINGS)], ids=str)
def test_a_remembered_key_that_is_gone_creates_nothing(
    case: tuple[tuple[str, str], str], world: World, key: str, outbox: Outbox, django_capture_on_commit_callbacks: Any
) -> None:
    route, how = case
    outbox.clear()
    before = snapshot()
    end(how)
    with django_capture_on_commit_callbacks(execute=True):
        assert_refused(send(Client(), route, world, **{"x-api-key": key}))
    assert snapshot() == before
    assert (outbox.published, outbox.told) == ([], [])
    assert recall_api_key(key) is None


def _ask(key: str, thread: str, body: Any, **headers: str) -> Answer:
    path = f"/threads/{thread}" if "/" in thread else f"/threads/{thread}/runs"
    content = body if isinstance(body, str) else json.dumps(body)
    return Client().post(path, content, content_type="application/json", headers={"x-api-key": key, **headers})


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_remembered_key_that_is_gone_learns_nothing(case: str, world: World, key: str) -> None:
    assert _ask(key, *REFUSED[case](world)).status_code in (404, 409, 422)
    assert recall_api_key(key) is not None
    end("revoked")
    assert_refused(_ask(key, *REFUSED[case](world)))


def test_a_refusal_under_a_key_that_is_gone_looks_as_if_it_had_never_been(world: World, key: str) -> None:
    """The control: a key that nobody has, beside one that this process remembers."""
    end("revoked")
    wanted = _ask("nobody's key, of 24 chars", str(world.thread.pk), {"assistant_id": "echo"})
    found = _ask(key, str(world.thread.pk), {"assistant_id": "echo"})
    ids = re.compile(rb'"[0-9a-f-]{36}"')
    assert ids.sub(b"", found.content) == ids.sub(b"", wanted.content)


def test_a_replay_is_shown_to_no_remembered_key_that_is_gone(world: World, key: str) -> None:
    asked = (str(world.thread.pk), {"assistant_id": "echo", "multitask_strategy": "enqueue"})
    headers = {"Idempotency-Key": "once"}
    assert _ask(key, *asked, **headers).status_code == 200
    assert _ask(key, *asked, **headers)["Idempotency-Replayed"] == "true"
    end("revoked")
    assert_refused(_ask(key, *asked, **headers))


@pytest.mark.parametrize("route", sorted(key for key, case in CASES.items() if case.kind != "public"))
def test_a_key_that_is_gone_opens_nothing_because_it_is_remembered(
    route: tuple[str, str], world: World, key: str
) -> None:
    end("revoked")
    assert_refused(send(Client(), route, world, **{"x-api-key": key}))


@pytest.mark.parametrize("route", CREATES)
def test_a_remembered_key_is_asked_for_with_the_lock(route: tuple[str, str], world: World, key: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert send(Client(), route, world, **{"x-api-key": key}).status_code == 200
    about = [query["sql"] for query in queries if "runs_apikey" in query["sql"]]
    assert len(about) == 1
    assert "FOR NO KEY UPDATE" in about[0]


def test_a_key_that_is_given_to_somebody_else_acts_for_them_at_once(world: World, key: str) -> None:
    """By hand: nothing here does that. Also where the former owner would be refused before any lock is taken."""
    bob = make_actor("bob")
    assistant, thread = create_assistant(actor=bob, graph_id="echo"), make_thread(bob)
    ApiKey.objects.update(owner=bob.owner)
    assert _ask(key, str(thread.pk), {"assistant_id": str(assistant.pk)}).status_code == 200
    assert Run.objects.get(thread=thread).owner == bob.owner
    ApiKey.objects.update(owner=world.thread.owner)
    assert _ask(key, str(thread.pk), {"assistant_id": "echo"}).status_code == 404


def test_an_owner_that_has_changed_is_read_anew(world: World, key: str) -> None:
    User = type(world.thread.owner)
    User.objects.update(is_staff=True)
    asked = {"assistant_id": "echo", "multitask_strategy": "enqueue"}
    assert _ask(key, str(world.thread.pk), asked).status_code == 200
    recalled = recall_api_key(key)
    assert recalled is not None
    assert recalled.key.owner.is_staff


def test_the_use_of_a_remembered_key_is_noted_when_it_is_time(world: World, key: str) -> None:
    """Memory ends when the last note is a minute old, however short a time that is."""
    ApiKey.objects.update(last_used_at=ClockTimestamp() - timedelta(seconds=59.5))
    former = ApiKey.objects.get().last_used_at
    assert find_api_key(key) is not None
    assert recall_api_key(key) is not None
    wait_until(lambda: recall_api_key(key) is None, "the key to be forgotten", RECALLED_SECONDS / 2)
    asked = {"assistant_id": "echo", "multitask_strategy": "enqueue"}
    assert _ask(key, str(world.thread.pk), asked).status_code == 200
    assert ApiKey.objects.get().last_used_at != former


def test_the_memory_of_a_key_is_another_one_each_time(key: str) -> None:
    """Requests in other threads have it, too."""
    first, second = recall_api_key(key), recall_api_key(key)
    assert first is not None
    assert second is not None
    assert first.key is not second.key
    assert first.key.owner is not second.key.owner
