"""What browsers ask before a page of another origin may call the API, and what such a page may read."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from runs.models import Thread
from tests.support.api import Api
from tests.support.factories import create, make_actor, make_thread

PAGE = "https://app.example"
ELSEWHERE = "https://elsewhere.example"


@pytest.fixture(autouse=True)
def _allowed(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]


def preflight(path: str, origin: str, method: str = "POST", headers: str = "content-type,x-api-key") -> Any:
    """What a browser sends first, without a key."""
    asked = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    return Client().options(path, headers=asked)


def names(value: str) -> set[str]:
    return {name.strip().lower() for name in value.split(",")}


@pytest.mark.parametrize(
    "path", ["/threads", "/threads/search", "/runs/stream", "/threads/{thread}/runs/stream", "/ok"]
)
def test_a_page_of_an_allowed_origin_may_send_what_sdks_send(path: str, api: Api) -> None:
    thread = make_thread(make_actor("ada"))
    answer = preflight(path.format(thread=thread.pk), PAGE)

    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == PAGE
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(answer["Access-Control-Allow-Methods"].split(", "))
    sent = {"content-type", "x-api-key", "authorization", "last-event-id", "idempotency-key", "prefer"}
    assert sent <= names(answer["Access-Control-Allow-Headers"])


def test_its_cookies_are_never_asked_for(api: Api) -> None:
    assert "Access-Control-Allow-Credentials" not in preflight("/threads", PAGE)
    assert "Access-Control-Allow-Credentials" not in api.post("/threads", {}, origin=PAGE)


def test_it_may_read_which_run_was_created_and_where_to_go_on(api: Api) -> None:
    thread = make_thread(make_actor("ada"))
    answer = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}, origin=PAGE)

    run = thread.runs.get()
    assert answer["Content-Location"] == f"/threads/{thread.pk}/runs/{run.pk}"
    assert answer["Access-Control-Allow-Origin"] == PAGE
    exposed = {"content-location", "location", "x-pagination-total", "x-pagination-next", "x-request-id"}
    assert exposed <= names(answer["Access-Control-Expose-Headers"])
    assert "origin" in names(answer["Vary"])


def test_it_may_read_why_it_was_refused(api: Api) -> None:
    thread = make_thread(make_actor("ada"))
    create(thread)
    busy = api.post(f"/threads/{thread.pk}/runs", {"assistant_id": "echo"}, origin=PAGE)
    unknown = Client().get(f"/threads/{thread.pk}", headers={"origin": PAGE})

    assert (busy.status_code, busy["Access-Control-Allow-Origin"]) == (409, PAGE)
    assert (unknown.status_code, unknown["Access-Control-Allow-Origin"]) == (401, PAGE)


def test_a_page_of_another_origin_may_not(api: Api) -> None:
    assert "Access-Control-Allow-Origin" not in preflight("/threads", ELSEWHERE)
    assert "Access-Control-Allow-Origin" not in api.post("/threads", {}, origin=ELSEWHERE)
    assert "Access-Control-Expose-Headers" not in api.get("/ok", origin=ELSEWHERE)


@pytest.mark.parametrize("path", ["/admin/", "/playground/", "/docs", "/threadsandmore"])
def test_nothing_but_the_api_is_for_other_origins(path: str) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(path, PAGE, "GET")


def test_a_preflight_changes_nothing(api: Api) -> None:
    preflight("/threads", PAGE)

    assert not Thread.objects.exists()


@pytest.mark.parametrize(
    ("variable", "allowed"),
    [("", (False, [])), ("*", (True, [])), (f"{PAGE},{ELSEWHERE}", (False, [PAGE, ELSEWHERE]))],
)
def test_the_origins_come_from_the_environment(variable: str, allowed: tuple[bool, list[str]]) -> None:
    read = "from project import settings as s; print((s.CORS_ALLOW_ALL_ORIGINS, s.CORS_ALLOWED_ORIGINS))"
    environment = {**os.environ, "CORS_ALLOWED_ORIGINS": variable}
    done = subprocess.run([sys.executable, "-c", read], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(allowed)
