"""Draining by hand: who may, what is changed and logged, and what the pages offer."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from runs.models import Worker
from tests.support.factories import bury, drain, expire, make_run, make_thread, make_worker, running
from tests.support.staff import staff

LIST = reverse("admin:runs_worker_changelist")


def address(worker: Worker, verb: str = "change") -> str:
    return reverse(f"admin:runs_worker_{verb}", args=[worker.pk])


def said(client: Client, page: str) -> str:
    return client.get(page).content.decode()


def buttons(page: str) -> list[tuple[str, str]]:
    """What the page offers, and where it goes."""
    return re.findall(r'data-worker-act="([a-z]+)" data-url="([^"]+)"', page)


def by(worker: Worker) -> str:
    worker.refresh_from_db()
    return worker.draining_by


def test_an_operator_drains_and_resumes_a_worker_and_the_log_says_why(operator: Client) -> None:
    worker = make_worker()
    answer = operator.post(address(worker, "drain"), {"reason": " a   deploy "}, follow=True)
    assert answer.redirect_chain == [(address(worker), 302)]
    assert f"Worker {worker.pk} was drained." in answer.content.decode()
    assert by(worker) == "operator:operator"
    answer = operator.post(address(worker, "resume"), {"back": "list"}, follow=True)
    assert answer.redirect_chain == [(LIST, 302)]
    assert by(worker) == ""
    logged = LogEntry.objects.filter(object_id=str(worker.pk)).order_by("pk")
    assert list(logged.values_list("user__username", "change_message")) == [
        ("operator", "Drain: a deploy"),
        ("operator", "Resume: by operator:operator"),
    ]


def test_what_changes_nothing_is_said_and_not_logged(operator: Client) -> None:
    drained, gone = make_worker(), make_worker()
    drain(drained)
    bury(gone)
    assert "It was drained before." in operator.post(address(drained, "drain"), follow=True).content.decode()
    assert "This life of the worker has ended" in operator.post(address(gone, "drain"), follow=True).content.decode()
    assert "It was not drained." in operator.post(address(make_worker(), "resume"), follow=True).content.decode()
    missing = reverse("admin:runs_worker_drain", args=["7c9e6679-7425-40de-944b-e07fc1f90ae7"])
    assert "There is no worker with this id." in operator.post(missing, {"back": "list"}, follow=True).content.decode()
    assert by(drained) == "system/test"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("reason", ["x" * 501, "a\x00b"])
def test_a_reason_that_cannot_be_kept_changes_nothing(operator: Client, reason: str) -> None:
    worker = make_worker()
    assert operator.post(address(worker, "drain"), {"reason": reason}).status_code == 400
    assert by(worker) == ""


def test_only_who_may_see_and_drain_workers_does(client: Client) -> None:
    worker = make_worker()
    assert client.post(address(worker, "drain")).status_code == 302  # to the login
    for permissions in (["view_worker"], ["drain_worker"], ["view_worker", "cancel_run", "force_stop_run"]):
        assert staff(*permissions).post(address(worker, "drain")).status_code == 403
    assert by(worker) == ""
    allowed = staff("view_worker", "drain_worker")
    assert allowed.get(address(worker, "drain")).status_code == 405
    assert allowed.post(address(worker, "drain")).status_code == 302
    assert by(worker) == "operator:staff"


def test_the_pages_offer_what_can_be_done_to_those_who_may(operator: Client) -> None:
    alive, drained, expired, buried = (make_worker(name) for name in "abcd")
    drain(drained)
    expire(expired)
    bury(buried)
    offered = [("drain", address(alive, "drain")), ("resume", address(drained, "resume"))]
    assert sorted(buttons(said(operator, LIST))) == sorted([*offered, ("drain", address(expired, "drain"))])
    assert [buttons(said(operator, address(worker))) for worker in (alive, drained, buried)] == [
        [offered[0]],
        [offered[1]],
        [],
    ]
    viewer = staff("view_worker")
    assert buttons(said(viewer, LIST)) == buttons(said(viewer, address(alive))) == []
    assert 'id="act"' not in said(viewer, LIST) + said(viewer, address(alive))


def test_a_drained_worker_is_told_apart(operator: Client) -> None:
    alive, drained = make_worker(), make_worker()
    drain(drained)
    for state, worker in (("alive", alive), ("draining", drained)):
        page = operator.get(LIST, {"state": state}).content.decode()
        assert set(re.findall(r"/runs/worker/([0-9a-f-]{36})/change/", page)) == {str(worker.pk)}
    shown = re.sub(r"<[^>]*>", "", said(operator, address(drained)))
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC by system/test", shown)


def test_a_host_that_is_no_text_of_ours_stays_text(operator: Client) -> None:
    make_worker('"><script>alert(1)</script>')
    assert "<script>alert(1)" not in said(operator, LIST)


def test_the_dashboard_counts_only_places_of_workers_that_take_runs(operator: Client) -> None:
    worker = make_worker()
    running(make_thread(), worker)
    drain(worker)
    make_run(make_thread())
    page = said(operator, reverse("admin:index"))
    assert "0 of 0" in page
    assert "1 worker alive, 1 of them drained with 1 to finish" in page
    assert "All workers are drained: resume one." in page


def test_a_thread_says_that_all_workers_are_drained(operator: Client) -> None:
    thread = make_thread()
    make_run(thread)
    drain(make_worker())
    page = said(operator, reverse("admin:runs_thread_change", args=[thread.pk]))
    assert 'data-obstacle="draining"' in page
    assert "all workers that are alive are drained" in page
