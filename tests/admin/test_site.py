"""What surrounds every page of the console."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests.support.factories import make_actor, make_thread, running, step
from tests.support.staff import staff

INDEX = reverse("admin:index")


def sidebar(client: Client) -> list[str]:
    """The addresses of the pages that the sidebar leads to."""
    context = client.get(INDEX).context
    return [str(item["link"]) for group in context["sidebar_navigation"] for item in group["items"]]


def test_the_sidebar_leads_to_every_page(operator: Client, settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "FLOWER_URL": "https://flower.example"}
    links = sidebar(operator)
    assert links[:3] == [INDEX, reverse("admin:runs_run_changelist"), reverse("admin:runs_thread_changelist")]
    assert links[-2:] == ["https://flower.example", "/docs"]
    answers = {link: operator.get(link).status_code for link in links if link.startswith("/")}
    assert set(answers.values()) == {200}, answers


def test_the_sidebar_shows_what_may_be_seen(settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "FLOWER_URL": ""}
    user = make_actor("viewer").owner
    user.is_staff = True
    user.save()
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    client = Client()
    client.force_login(user)
    assert sidebar(client) == [INDEX, reverse("admin:runs_run_changelist"), "/playground/", "/docs"]


@pytest.mark.parametrize(
    ("name", "badge"), [("", None), ("production", ["production", "danger"]), ("canary", ["canary", "info"])]
)
def test_the_badge_names_the_deployment(
    operator: Client, settings: Settings, name: str, badge: list[str] | None
) -> None:
    settings.RUNS = {**settings.RUNS, "ENVIRONMENT": name}
    assert operator.get(INDEX).context["environment"] == badge


@pytest.mark.parametrize("path", [INDEX, "/admin/login/", "/admin/auth/user/", "/admin/auth/user/add/"])
def test_every_file_comes_from_this_server(operator: Client, path: str) -> None:
    page = (Client() if "login" in path else operator).get(path).content.decode()
    files = re.findall(r"""<(?:script|link|img)[^>]*(?:src|href)=["']([^"']+)["']""", page)
    assert files
    assert [file for file in files if not file.startswith(("/static/", "data:", "/admin/"))] == []
    assert [file for file in files if file.startswith("/static/") and not finders.find(file[8:].split("?")[0])] == []


def jumps(client: Client, term: str) -> list[str]:
    """The addresses that the command palette offers for this."""
    page = client.get("/admin/search/", {"s": term, "extended": "1"}).content.decode()
    return re.findall(r'href="(/admin/runs/[a-z]+/[0-9a-f-]{36}/change/)"', page)


def test_an_id_leads_from_anywhere_to_its_page(operator: Client) -> None:
    run = running(make_thread())
    kept = step(run, page=1)
    for row in (run, run.thread, run.worker, kept):
        assert row is not None
        address = reverse(f"admin:runs_{row._meta.model_name}_change", args=[row.pk])
        assert jumps(operator, f" {str(row.pk).upper()} ") == [address]
        assert operator.get(address).status_code == 200
    assert jumps(operator, "7c9e6679-7425-40de-944b-e07fc1f90ae7") == []
    assert jumps(operator, str(run.pk)[:8]) == []


def test_an_id_leads_nowhere_that_may_not_be_seen() -> None:
    run, viewer = running(make_thread()), staff()
    assert jumps(viewer, str(run.pk)) == [reverse("admin:runs_run_change", args=[run.pk])]
    assert jumps(viewer, str(run.thread_id)) == []
    assert jumps(viewer, str(run.worker_id)) == []


def test_a_page_elsewhere_is_never_the_present_one(operator: Client, settings: Settings) -> None:
    settings.RUNS = {**settings.RUNS, "FLOWER_URL": "https://flower.example/"}
    items = [item for group in operator.get(INDEX).context["sidebar_navigation"] for item in group["items"]]
    assert [item["title"] for item in items if item.get("active")] == ["Dashboard"]
