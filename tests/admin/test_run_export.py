"""The runs of a filter as a file: whole, in portions, without what went in or came out."""

import csv
import io
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse

from runs.actors import Actor
from runs.admin.json_text import MASK
from runs.admin.run_export import COLUMNS
from runs.models import Run
from runs.states import RunStatus
from tests.support.factories import cancel, finish, make_actor, make_run, make_thread, running
from tests.support.staff import staff

pytestmark = pytest.mark.django_db(transaction=True)


def address(form: str, **query: str) -> str:
    return reverse("admin:runs_run_export", args=[form], query=query)


def exported(form: str, **query: str) -> tuple[Any, list[bytes]]:
    """The answer to an operator, and the portions in which it came."""
    user = make_actor("operator").owner
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)

    async def ask() -> tuple[Any, list[bytes]]:
        client = AsyncClient()
        await client.aforce_login(user)
        answer: Any = await client.get(address(form, **query))
        return answer, [portion async for portion in answer.streaming_content] if answer.streaming else []

    return async_to_sync(ask)()


def lines(**query: str) -> list[dict[str, Any]]:
    _, portions = exported("jsonl", **query)
    return [json.loads(line) for line in b"".join(portions).decode().splitlines()]


def test_what_matches_is_in_the_file_newest_first_and_nothing_secret() -> None:
    ada, ben = make_thread(make_actor("ada")), make_thread(make_actor("ben"))
    failed = finish(running(ada, kwargs={"input": {"order": "the input"}}), RunStatus.ERROR)
    Run.objects.filter(pk=failed.pk).update(error={"type": "KeyError", "message": "no key sk-abcdefghijklmnopqrstuvwx"})
    pending = make_run(ada)
    make_run(ben)
    found = lines(owner="ada")
    assert [line["id"] for line in found] == [str(pending.pk), str(failed.pk)]
    assert all(tuple(line) == COLUMNS for line in found)
    assert (found[1]["status"], found[1]["error_type"], found[1]["owner"]) == ("error", "KeyError", "ada")
    assert found[1]["error_message"] == f"no key {MASK}"
    assert found[1]["ran_seconds"] >= 0
    assert (found[0]["started_at"], found[0]["waited_seconds"]) == (None, None)
    assert "the input" not in json.dumps(found)
    assert [line["id"] for line in lines(status="error", strategy="enqueue")] == [str(failed.pk)]


def test_a_spreadsheet_gets_no_formula() -> None:
    run = cancel(make_run(make_thread()), actor=Actor(name="=HYPERLINK()"))
    answer, portions = exported("csv")
    assert answer["Content-Disposition"] == 'attachment; filename="runs.csv"'
    (row,) = csv.DictReader(io.StringIO(b"".join(portions).decode()))
    assert tuple(row) == COLUMNS
    assert (row["id"], row["cancelled_by"], row["started_at"]) == (str(run.pk), "'=HYPERLINK()", "")


@pytest.mark.parametrize(("most", "sizes"), [(100, [2, 2, 1]), (4, [2, 2]), (3, [2, 1])])
def test_it_is_read_in_portions_up_to_its_bound(monkeypatch: pytest.MonkeyPatch, most: int, sizes: list[int]) -> None:
    monkeypatch.setattr("runs.admin.run_export.BATCH", 2)
    monkeypatch.setattr("runs.admin.run_export.MOST_EXPORTED", most)
    runs = [str(make_run(make_thread()).pk) for _ in range(5)]
    _, portions = exported("jsonl")
    assert [portion.count(b"\n") for portion in portions] == sizes
    found = [json.loads(line)["id"] for line in b"".join(portions).splitlines()]
    assert found == runs[::-1][: sum(sizes)]


def test_what_is_not_understood_is_refused_and_nothing_is_sent() -> None:
    make_run(make_thread())
    answer, portions = exported("csv", status="asleep")
    assert (answer.status_code, portions) == (400, [])
    assert exported("pdf")[0].status_code == 404
    assert exported("csv", status="error")[1][0].count(b"\n") == 1  # the names of the columns


def test_who_may_not_see_runs_gets_no_file(operator: Client) -> None:
    make_run(make_thread())
    user = make_actor("nobody").owner
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    assert client.get(address("csv")).status_code == 403
    assert Client().get(address("csv")).status_code == 302
    assert operator.post(address("csv")).status_code == 405
    page = staff().get(reverse("admin:runs_run_changelist"), {"status": "pending"}).content.decode()
    assert f'href="{reverse("admin:runs_run_export", args=["csv"])}?status=pending"' in page
