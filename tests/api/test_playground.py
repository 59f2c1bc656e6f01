"""The playground's page itself; what it does in a browser is in tests/browser."""

import json
import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from runs.assistants import Assistant, registry
from tests.support.api import Api
from tests.support.factories import echo, make_actor

PATH = "/playground/"


@pytest.fixture
def visitor() -> Client:
    """Somebody who has logged in, and is no operator."""
    client = Client()
    client.force_login(make_actor("ada").owner)
    return client


def test_whoever_has_not_logged_in_is_sent_to_the_login(api: Api) -> None:
    for headers in ({}, {"x-api-key": api.key}):
        answer = Client().get(PATH, headers=headers)
        assert (answer.status_code, answer["Location"]) == (302, f"{reverse('admin:login')}?next={PATH}")


def test_it_can_only_be_read(visitor: Client) -> None:
    assert visitor.get(PATH).status_code == 200
    assert visitor.post(PATH, {}).status_code == 405


WILD = Assistant(name="wild", function=echo, description="</script><b>", sample={"text": "</script>"})


def test_it_offers_each_assistant_with_an_input(visitor: Client, settings: Settings) -> None:
    names = {"wild": f"{__name__}:WILD", "echo": "tests.support.factories:echo"}
    settings.RUNS = {**settings.RUNS, "ASSISTANTS": names}
    registry.forget()
    page = visitor.get(PATH).content.decode()
    offered = re.search(r'<script id="assistants" type="application/json">(.*?)</script>', page)

    assert offered is not None
    assert json.loads(offered[1]) == [
        {"name": "echo", "description": "Return what came in.", "sample": {}},
        {"name": "wild", "description": "</script><b>", "sample": {"text": "</script>"}},
    ]


def test_it_needs_no_script_or_style_but_its_own_files(visitor: Client) -> None:
    answer = visitor.get(PATH)
    page = answer.content.decode()
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))

    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert policy["frame-ancestors"] == "'none'"
    assert re.findall(r"<style|\son\w+=|style=|javascript:|https?://", page) == []
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    assert files == ["runs/playground.css", "runs/playground.js"]
    assert [name for name in files if finders.find(name) is None] == []
    assert answer["Cache-Control"] == "no-store"
