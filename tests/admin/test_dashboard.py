"""The admin's first page."""

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from runs import broker
from tests.support.factories import finish, make_actor, make_run, make_thread, make_worker, running


def charts(page: str) -> Any:
    """What the page's script draws."""
    found = re.search(r'<script id="dashboard-data" type="application/json">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def test_a_newcomer_is_told_what_to_do(operator: Client) -> None:
    page = operator.get("/admin/").content.decode()
    assert "Nothing has run here yet" in page
    assert "No worker is alive" in page
    make_worker()
    finish(running(make_thread()))
    assert "Nothing has run here yet" not in operator.get("/admin/").content.decode()


@pytest.mark.parametrize(("window", "steps"), [("15m", 30), ("1h", 30), ("1d", 48), ("7d", 28), ("", 30), ("\x00", 30)])
def test_the_time_is_chosen_by_the_address(operator: Client, window: str, steps: int) -> None:
    finish(running(make_thread()))
    page = operator.get("/admin/", {"window": window}).content.decode()
    found = charts(page)
    assert len(found["labels"]) == steps
    assert (sum(found["throughput"]["success"]), sum(found["throughput"]["created"])) == (1, 1)
    assert page.count('<th scope="row">') - len(broker.queue_depths()) == steps


def test_a_refresh_gets_the_same_without_what_surrounds_it(operator: Client) -> None:
    make_run(make_thread())
    whole = operator.get("/admin/").content.decode()
    part = operator.get("/admin/", headers={"X-Fragment": "1"}).content.decode()
    assert "<html" in whole
    assert "<html" not in part
    assert [text.count("data-live=") for text in (whole, part)] == [2, 2]


def test_it_reads_the_same_few_statements_for_any_number_of_runs(operator: Client) -> None:
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert operator.get("/admin/").status_code == 200
        assert len(captured) <= 8
        finish(running(make_thread()))
        make_run(make_thread())


def test_who_may_not_see_runs_sees_no_numbers() -> None:
    user = make_actor("ada").owner
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    page = client.get("/admin/").content.decode()
    assert "You may log in, but not see runs" in page
    assert "Oldest pending" not in page


def test_without_a_broker_the_rest_is_shown(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OSError("away")

    monkeypatch.setattr(broker, "queue_depths", away)
    page = operator.get("/admin/").content.decode()
    assert "The broker does not answer" in page
    assert "Oldest pending" in page


def test_the_broker_is_asked_for_every_queue() -> None:
    assert broker.queue_depths() == {"runs": 0}
