"""Threads and workers, as operators see them."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runs.models import Thread, Worker
from tests.support.factories import bury, cancel, expire, finish, make_run, make_thread, make_worker, running, step

THREADS, WORKERS = reverse("admin:runs_thread_changelist"), reverse("admin:runs_worker_changelist")


def page_of(client: Client, row: Thread | Worker) -> str:
    """The page of a thread or worker, read with at most twelve statements."""
    address = reverse(f"admin:runs_{row._meta.model_name}_change", args=[row.pk])
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
    assert (answer.status_code, len(captured) <= 12) == (200, True)
    return answer.content.decode()


def obstacle(page: str) -> str:
    """What the page says is in the way."""
    found = re.search(r'data-obstacle="([a-z ]+)"', page)
    assert found
    return found[1]


def queue(page: str) -> list[str]:
    """The ids of the runs that wait, in the order of the table."""
    table = re.search(r'id="queue">(.*?)</table>', page, re.DOTALL)
    return re.findall(r"/runs/run/([0-9a-f-]{36})/change/", table[1]) if table else []


def test_a_blocked_thread_names_the_run_the_worker_and_who_waits(operator: Client) -> None:
    thread, worker = make_thread(), make_worker("box-7")
    run = running(thread, worker)
    waiting = [make_run(thread) for _ in range(3)]
    page = page_of(operator, thread)
    assert obstacle(page) == "running"
    assert reverse("admin:runs_run_change", args=[run.pk]) in page
    assert reverse("admin:runs_worker_change", args=[worker.pk]) in page
    assert queue(page) == [str(each.pk) for each in waiting]

    expire(worker)
    assert "does not renew its lease" in page_of(operator, thread)
    cancel(run)
    assert obstacle(page_of(operator, thread)) == "stopping"


def test_an_idle_thread_is_not_blocked_and_shows_its_state_without_secrets(operator: Client) -> None:
    thread = make_thread()
    run = running(thread)
    kept = step(run, password="hunter2", answer=42)
    finish(run)
    page = page_of(operator, thread)
    assert obstacle(page) == "nothing"
    assert "hunter2" not in page
    assert "&quot;answer&quot;: 42" in page
    address = reverse("admin:runs_checkpoint_change", args=[kept.pk])
    assert address in page
    assert "hunter2" not in operator.get(address).content.decode()


@pytest.mark.parametrize("row", ["7c9e6679-7425-40de-944b-e07fc1f90ae7", "words"])
def test_a_thread_that_is_not_there_is_not_found(operator: Client, row: str) -> None:
    assert operator.get(reverse("admin:runs_thread_change", args=[row])).status_code == 404


def test_the_list_of_threads_shows_what_each_does(operator: Client) -> None:
    busy = make_thread()
    run = running(busy)
    for _ in range(2):
        make_run(busy)
    finish(running(make_thread()))
    with CaptureQueriesContext(connection) as captured:
        page = operator.get(THREADS).content.decode()
    assert len(captured) <= 12
    assert sorted(re.findall(r"field-queue_length[^>]*>\s*(\d+)", page)) == ["0", "2"]
    assert f"running …{str(run.pk)[-12:]}</a>" in page


def test_workers_are_told_apart_by_their_lives(operator: Client) -> None:
    alive, expired, buried = make_worker("a"), make_worker("b"), make_worker("c")
    run = running(make_thread(), alive)
    expire(expired)
    bury(buried)
    for state, worker in (("alive", alive), ("expired", expired), ("buried", buried)):
        with CaptureQueriesContext(connection) as captured:
            page = operator.get(WORKERS, {"state": state}).content.decode()
        assert len(captured) <= 12
        assert set(re.findall(r"/runs/worker/([0-9a-f-]{36})/change/", page)) == {str(worker.pk)}
    page = page_of(operator, alive)
    assert "1 of 4" in page
    assert reverse("admin:runs_run_change", args=[run.pk]) in page
    order = re.findall(r"/runs/worker/([0-9a-f-]{36})/change/", operator.get(WORKERS).content.decode())
    assert order[-1] == str(buried.pk)
