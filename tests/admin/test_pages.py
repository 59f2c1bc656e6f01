"""The pages of the tables: they show, they do not change, they do not read everything."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runs.admin.base import BoundedPaginator
from runs.models import ApiKey, Checkpoint, IdempotencyKey, Run, RunEvent, Thread, Worker
from runs.services.api_keys import create_api_key
from runs.services.create import RunSpec, create_run
from runs.services.idempotency import Idempotency
from tests.support.factories import finish, make_actor, make_run, make_thread, running

TABLES: tuple[type[Model], ...] = (ApiKey, Checkpoint, IdempotencyKey, Run, RunEvent, Thread, Worker)


def address(model: type[Model], page: str, *arguments: Any) -> str:
    """Where this page of the admin is."""
    return reverse(f"admin:runs_{model._meta.model_name}_{page}", args=arguments)


@pytest.fixture(autouse=True)
def rows() -> Run:
    """At least one row in every table; the running run is returned."""
    ada = make_actor("ada")
    create_api_key(owner=ada.owner, name="laptop")
    thread = make_thread(ada)
    finish(running(thread), answer=42)
    key = Idempotency.of(key="k1", route="POST /x", body={})
    spec = RunSpec(assistant="echo", multitask_strategy="enqueue")
    create_run(thread_id=thread.pk, spec=spec, actor=ada, idempotency=key)
    return running(make_thread(ada))


def test_every_table_has_a_page() -> None:
    assert {model for model in admin.site._registry if model._meta.app_label == "runs"} == set(TABLES)


def test_the_address_without_a_slash_leads_there() -> None:
    assert Client().get("/admin").headers["Location"] == "/admin/"


@pytest.mark.parametrize("model", TABLES)
def test_every_list_and_every_row_can_be_seen(operator: Client, model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None
    listed = operator.get(address(model, "changelist"))
    assert listed.status_code == 200
    assert str(row.pk).encode() in listed.content
    assert operator.get(address(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", TABLES)
def test_nothing_can_be_changed_or_deleted(operator: Client, model: type[Model]) -> None:
    row = model._default_manager.get(pk=model._default_manager.values_list("pk", flat=True)[0])
    before = model._default_manager.filter(pk=row.pk).values().get()
    for page in ("change", "delete"):
        assert operator.post(address(model, page, row.pk), {"name": "x", "post": "yes"}).status_code == 403
    if model is not ApiKey:
        assert operator.post(address(model, "add"), {"name": "x"}).status_code == 403
    deletion = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    operator.post(address(model, "changelist"), deletion)
    assert model._default_manager.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("model", TABLES)
def test_a_list_counts_with_a_bound_and_reads_the_same_number_of_statements_for_any_number_of_rows(
    operator: Client, model: type[Model]
) -> None:
    few = _statements(operator, address(model, "changelist"))
    thread = make_thread(make_actor("ada"))
    for number in range(3):
        create_api_key(owner=thread.owner, name=f"key {number}")
        finish(running(thread), number=number)
    assert len(_statements(operator, address(model, "changelist"))) == len(few)
    counts = [sql for sql in few if "COUNT(" in sql and f'"{model._meta.db_table}"' in sql]
    assert counts
    assert [sql for sql in counts if "LIMIT 10000" not in sql] == []


def _statements(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


def test_the_count_stops_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.admin.base.COUNT_AT_MOST", 2)
    assert Run.objects.count() == 3
    assert BoundedPaginator(Run.objects.order_by("pk"), 50).count == 2


def _found(client: Client, model: type[Model], term: str) -> set[str]:
    page = client.get(address(model, "changelist"), {"q": term}).content.decode()
    return set(re.findall(rf"/admin/runs/{model._meta.model_name}/([0-9a-f-]{{36}})/change/", page))


def test_search_by_id_and_by_exact_names(operator: Client, rows: Run) -> None:
    run, everything = rows, {str(pk) for pk in Run.objects.values_list("pk", flat=True)}
    assert _found(operator, Run, "") == everything
    assert _found(operator, Run, str(run.pk)) == {str(run.pk)}
    assert _found(operator, Run, f" {str(run.thread_id).upper()} ") == {str(run.pk)}
    assert _found(operator, Run, str(run.worker_id)) == {str(run.pk)}
    assert _found(operator, Run, "ada") == everything
    assert _found(operator, Run, "echo") == everything
    assert _found(operator, Run, "ech") == set()
    assert _found(operator, Run, "it's 100% wrong") == set()


@pytest.mark.parametrize("model", TABLES)
@pytest.mark.parametrize("term", ["7c9e6679-7425-40de-944b-e07fc1f90ae7", "words", "%", "'", "\x00"])
def test_no_search_fails(operator: Client, model: type[Model], term: str) -> None:
    assert operator.get(address(model, "changelist"), {"q": term}).status_code == 200


def test_a_list_of_checkpoints_does_not_read_states(operator: Client) -> None:
    states = [sql for sql in _statements(operator, address(Checkpoint, "changelist")) if '"runs_checkpoint"' in sql]
    assert states
    assert [sql for sql in states if '"values"' in sql] == []


def test_a_run_shows_its_history(operator: Client, rows: Run) -> None:
    page = operator.get(address(Run, "change", rows.pk)).content
    assert f"claimed by worker {rows.worker_id}".encode() in page


def test_text_of_users_is_escaped(operator: Client) -> None:
    run = make_run(make_thread(make_actor("<script>alert(1)</script>")))
    assert b"<script>alert(1)" not in operator.get(address(Run, "changelist")).content
    assert b"<script>alert(1)" not in operator.get(address(Run, "change", run.pk)).content


def _visitors() -> Iterator[tuple[str, Client]]:
    yield "nobody", Client()
    user = make_actor("ada").owner
    for name, is_staff in (("user", False), ("staff without permissions", True)):
        user.is_staff = is_staff
        user.save()
        client = Client()
        client.force_login(user)
        yield name, client


@pytest.mark.parametrize("model", TABLES)
def test_only_staff_with_permission_sees_anything(model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None
    for name, client in _visitors():
        for path in (address(model, "changelist"), address(model, "change", row.pk)):
            assert client.get(path).status_code in (302, 403), name

    user = make_actor("ada").owner
    user.user_permissions.add(Permission.objects.get(codename=f"view_{model._meta.model_name}"))
    client = Client()
    client.force_login(user)
    assert client.get(address(model, "changelist")).status_code == 200


def test_a_filter_with_a_nul_character_leads_back_to_the_table(operator: Client) -> None:
    answer = operator.get(address(Run, "changelist"), {"status__exact": "\x00"})
    assert (answer.status_code, answer["Location"]) == (302, address(Run, "changelist"))
