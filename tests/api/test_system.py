"""/ok, /info, the documentation, and what belongs to every answer."""

from typing import Any

import pytest
from django.test import Client

from runs import __version__
from tests.support.api import Api, assert_problem, document


def test_ok_and_info_need_no_key() -> None:
    client = Client()
    assert client.get("/ok").json() == {"ok": True, "services": {}}
    info = client.get("/info").json()
    assert (info["version"], info["flags"]["runs"], info["flags"]["crons"]) == (__version__, True, False)
    assert client.get("/ok", headers={"x-api-key": "wrong"}).status_code == 200


def test_head_works_wherever_get_does(api: Api) -> None:
    response = api.client.head("/ok")
    assert (response.status_code, response.content) == (200, b"")
    listed = api.client.head(f"/threads/{api.post('/threads', {}).json()['thread_id']}", headers={"x-api-key": api.key})
    assert listed.status_code == 200


@pytest.mark.parametrize(("path", "words"), [("/docs", b"swagger-ui"), ("/redoc", b"redoc")])
def test_the_documentation_is_served_from_here(path: str, words: bytes) -> None:
    page = Client().get(path)
    assert page.status_code == 200
    assert words in page.content
    assert b"//cdn" not in page.content
    assert b"/openapi.json" in page.content


def test_the_assets_of_the_documentation_are_served_from_here() -> None:
    asset: Any = Client().get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")
    assert asset.status_code == 200
    assert len(b"".join(asset.streaming_content)) > 100_000


def test_the_openapi_document_is_the_committed_one() -> None:
    assert Client().get("/openapi.json").json() == document()


def test_unknown_paths_and_methods(api: Api) -> None:
    assert_problem(api.get("/nothing/here"), 404, "not_found")
    assert_problem(api.get("/threads/"), 404, "not_found")
    refused = api.request("PUT", "/threads", {})
    assert_problem(refused, 405, "method_not_allowed", "PUT")
    assert refused["Allow"] == "POST"
    assert_problem(api.get("/runs?limit=1"), 405, "method_not_allowed", "GET")
    assert_problem(api.request("OPTIONS", "/threads"), 405, "method_not_allowed")


def test_a_person_with_a_browser_gets_a_page() -> None:
    page = Client().get("/nothing", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("sent", ["", "with space", "x" * 65, "naïve", "a\x00b"])
def test_an_unusable_request_id_is_replaced(sent: str) -> None:
    answered = Client().get("/ok", headers={"x-request-id": sent})["X-Request-ID"]
    assert answered != sent
    assert len(answered) == 36


def test_answers_about_somebody_are_kept_by_no_cache(api: Api) -> None:
    assert api.post("/threads", {})["Cache-Control"] == "no-store"
    assert api.get("/nothing").headers.get("Cache-Control") is None
